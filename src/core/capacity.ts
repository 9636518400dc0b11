/** A chunkserver's disk, as it told of it last. */
export interface ServerDisk {
  /** Servers of the same disk share its room. */
  readonly disk: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** By replicas. */
  readonly usedBytes: number;
  /** Kept free for others. */
  readonly reserveBytes: number;
}

/** Of all servers' disks together, each disk counted once. */
export interface Capacity {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** By replicas. */
  readonly usedBytes: number;
}

/** In bytes of files. */
export interface FileCapacity {
  /** What the files take and what is free: other things on the servers' disks are in neither. */
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * What a small file takes of the master's disk at most: its rows in the store and in two checkpoints, and its commands in the
 * log that is kept.
 */
const MASTER_BYTES_PER_INODE = 2048;

export function capacityOf(servers: readonly ServerDisk[]): Capacity {
  const disks = [...disksOf(servers).values()];
  return {
    totalBytes: sumOf(disks.map(({ totalBytes }) => totalBytes)),
    freeBytes: sumOf(disks.map(({ freeBytes }) => freeBytes)),
    usedBytes: sumOf(servers.map(({ usedBytes }) => usedBytes)),
  };
}

/**
 * What files can have. A byte takes its room on `goal` servers, or on as many as there are; when fewer have room left, on
 * `memberCountMin` at least.
 */
export function fileCapacityOf(
  servers: readonly ServerDisk[],
  { goal, memberCountMin }: { goal: number; memberCountMin: number },
): FileCapacity {
  const { usedBytes } = capacityOf(servers);
  const copyCount = Math.min(goal, servers.length);
  if (copyCount < memberCountMin) return { totalBytes: Math.floor(usedBytes / goal), freeBytes: 0 };
  const shares = sharesOf(servers);
  const freeBytes = Math.max(spreadOver(shares, copyCount), shares[memberCountMin - 1] ?? 0);
  return { totalBytes: Math.floor(usedBytes / copyCount + freeBytes), freeBytes: Math.floor(freeBytes) };
}

/** So many more inodes the master's disk holds. */
export function inodesThatFit(freeBytes: number): number {
  return Math.floor(freeBytes / MASTER_BYTES_PER_INODE);
}

interface Disk {
  totalBytes: number;
  freeBytes: number;
  serverCount: number;
}

/** Without what is kept for others. */
function disksOf(servers: readonly ServerDisk[]): Map<string, Disk> {
  const disks = new Map<string, Disk>();
  for (const { disk, totalBytes, freeBytes, reserveBytes } of servers) {
    const known = disks.get(disk);
    const total = Math.max(0, totalBytes - reserveBytes);
    const free = Math.max(0, freeBytes - reserveBytes);
    disks.set(disk, {
      totalBytes: Math.min(total, known?.totalBytes ?? total),
      // Each has told at another time.
      freeBytes: Math.min(free, known?.freeBytes ?? free),
      serverCount: (known?.serverCount ?? 0) + 1,
    });
  }
  return disks;
}

/** The room that each server has for itself, the largest first. */
function sharesOf(servers: readonly ServerDisk[]): number[] {
  const disks = disksOf(servers);
  const shares = servers.map(({ disk }) => {
    const { freeBytes, serverCount } = disks.get(disk) ?? { freeBytes: 0, serverCount: 1 };
    return freeBytes / serverCount;
  });
  return shares.sort((one, other) => other - one);
}

/**
 * How many bytes fit when each takes its room on `copyCount` servers: a server with more room than that many bytes can have one
 * copy of each, and the rest is for the others.
 */
function spreadOver(shares: readonly number[], copyCount: number): number {
  let rest = sumOf(shares);
  for (let holdsAll = 0; holdsAll < copyCount; holdsAll += 1) {
    const bytes = rest / (copyCount - holdsAll);
    const largest = shares[holdsAll] ?? 0;
    if (largest <= bytes) return bytes;
    rest -= largest;
  }
  return 0;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
