import { existsSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GiB } from '../../src/base/units.ts';
import { compileProgram } from '../compile-program.ts';
import { ROOT } from '../e2e/cluster.ts';
import { DaemonCluster } from '../e2e/daemon-cluster.ts';
import { Caller } from './caller.ts';

/** News take milliseconds; a machine that is busy may take its time. */
const NEWS_MS_MAX = 60_000;
const MODE_COUNT = 0o1000;
const MEMORY = '/dev/shm';
/** What the daemons of long runs of several worlds never come near. */
const MEMORY_BYTES_MIN = 4 * GiB;

/** Callers in one new directory, as several mounts show it, and in a plain one. */
export interface Place {
  readonly sides: readonly Caller[];
  readonly view: Caller;
  readonly plain: Caller;
  close(): Promise<void>;
}

/** A real cluster with mounts, and a plain directory beside it. */
export class World {
  readonly #cluster: DaemonCluster;
  readonly #sideCount: number;
  readonly #program: string;
  #placeCount = 0;
  #turn = 0;

  static async create(sideCount: number): Promise<World> {
    // The last mount only looks.
    const mounts = sideCount + 1;
    const mountOptions = 'allow_other,dev,suid';
    const dataIn = memoryDirectory();
    const cluster = await DaemonCluster.create({ chunkservers: 3, mounts, mountOptions, dataIn });
    try {
      const program = compileProgram(join(ROOT, 'test/fuzz/calls.cc'), cluster.directory);
      if (program === undefined) throw new Error('there is no C++ compiler');
      await cluster.start();
      writeFileSync(cluster.path('turn'), '');
      return new World(cluster, sideCount, program);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  private constructor(cluster: DaemonCluster, sideCount: number, program: string) {
    this.#cluster = cluster;
    this.#sideCount = sideCount;
    this.#program = program;
  }

  /** Where the daemons' logs and data are. */
  get directories(): readonly string[] {
    return this.#cluster.directories;
  }

  /** The mount that only looks. */
  get view(): number {
    return this.#sideCount;
  }

  async place(): Promise<Place> {
    const name = `place${this.#placeCount}`;
    this.#placeCount += 1;
    const plainDirectory = join(this.#cluster.directory, name);
    for (const directory of [plainDirectory, this.#cluster.path(name)]) {
      mkdirSync(directory);
      await chmod(directory, 0o777);
    }
    const on = async (mount: number) => {
      if (mount > 0) await this.handOver(0, mount);
      return new Caller(this.#program, this.#cluster.path(name, mount), this.#sideCount);
    };
    const callers: Caller[] = [];
    for (let mount = 0; mount <= this.#sideCount; mount += 1) callers.push(await on(mount));
    const plain = new Caller(this.#program, plainDirectory, this.#sideCount);
    const view = callers[this.view] as Caller;
    const sides = callers.slice(0, this.#sideCount);
    const close = async () => {
      for (const caller of [...callers, plain]) await caller.close();
    };
    return { sides, view, plain, close };
  }

  /** Resolves when one mount has heard of all that was done on another: news come in order. */
  async handOver(from: number, to: number): Promise<void> {
    if (from === to) return;
    this.#turn += 1;
    const mode = this.#turn % MODE_COUNT;
    await chmod(this.#cluster.path('turn', from), mode);
    const deadline = Date.now() + NEWS_MS_MAX;
    while (((await stat(this.#cluster.path('turn', to))).mode & (MODE_COUNT - 1)) !== mode) {
      if (Date.now() > deadline)
        throw new Error(`mount ${to} does not hear of what is done on mount ${from}`);
      await sleep(1);
    }
  }

  /** What the kernel remembers of files that nobody has open. */
  async dropCaches(): Promise<void> {
    await writeFile('/proc/sys/vm/drop_caches', '3');
  }

  async close({ keep = false } = {}): Promise<void> {
    await this.#cluster.close({ keep });
  }
}

/**
 * Nobody's power is lost here: so nobody has to wait for disks, if there is memory for what daemons keep. The plain directory
 * stays on a disk, for what is in memory has no FALLOC_FL_ZERO_RANGE.
 */
function memoryDirectory(): string | undefined {
  if (!existsSync(MEMORY)) return undefined;
  const { bavail, bsize } = statfsSync(MEMORY);
  return bavail * bsize >= MEMORY_BYTES_MIN ? MEMORY : undefined;
}
