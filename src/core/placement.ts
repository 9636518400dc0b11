import { assert } from '../base/assert.ts';
import type { ServerId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';

/** A server that is alive, as placement sees it. */
export interface Candidate {
  readonly server: ServerId;
  readonly rack: string;
  readonly totalBytes: number;
  /** Free and above the server's reserve. */
  readonly availableBytes: number;
  /** Chunks placed there that its figures do not show yet. */
  readonly placedCount: number;
  /** Silent for a while: taken only when the others do not suffice. */
  readonly suspect: boolean;
}

/** How much chance counts against fullness: servers whose use differs by less than this take turns. */
const JITTER = 0.2;

/** Fewer members than this cannot acknowledge a write; a goal below it is its own minimum. */
export function memberCountMin(goal: number, minReplicas: number): number {
  return Math.min(minReplicas, goal);
}

/**
 * The members of a new chunk (§4.2), the primary first: on as many servers and racks as there are up to the goal,
 * emptier ones preferred. Some chance keeps a new, empty server from getting every new chunk, and with it all
 * the writing that follows.
 */
export function placeChunk(
  candidates: readonly Candidate[],
  options: { goal: number; minReplicas: number; chunkSizeBytes: number; random: () => number },
): Result<ServerId[]> {
  const { goal, minReplicas, chunkSizeBytes, random } = options;
  assert(goal >= 1, 'a chunk wants one copy at least');
  const minimum = memberCountMin(goal, minReplicas);
  if (candidates.length < minimum) {
    return refuse('TOO_FEW_REPLICAS', `${candidates.length} chunkservers are alive, ${minimum} are needed`);
  }
  const roomy = candidates.filter(
    ({ availableBytes, placedCount }) => availableBytes >= chunkSizeBytes * Math.min(placedCount + 1, 2),
  );
  if (roomy.length < minimum) {
    return refuse('NO_SPACE', `${roomy.length} chunkservers have room for a chunk, ${minimum} are needed`);
  }
  const fullness = (candidate: Candidate) => fullnessOf(candidate, chunkSizeBytes) + random() * JITTER;
  const ranked = roomy
    .map((candidate) => ({ candidate, rank: [Number(candidate.suspect), fullness(candidate)] }))
    .sort((left, right) => compareRanks(left.rank, right.rank))
    .map(({ candidate }) => candidate);
  return ok(shuffled(spread(ranked, goal), random));
}

/** What is known of a chunk that wants one copy more. */
export interface CopyWish {
  /** Of its members. */
  readonly racks: ReadonlySet<string>;
  /** How many copies a server is being sent. */
  readonly copiesTo: (server: ServerId) => number;
  /** Whether a server has an older copy: what of that still matches need not be sent. */
  readonly holds: (server: ServerId) => boolean;
  /** Tried last, and in vain. */
  readonly avoid: ServerId | undefined;
  readonly chunkSizeBytes: number;
  readonly random: () => number;
}

/**
 * The server for one more copy (§4.3), of candidates that have none: one with room; in another rack than the others if there
 * is one, with an older copy, less busy with others, emptier.
 */
export function placeCopy(
  candidates: readonly Candidate[],
  { racks, copiesTo, holds, avoid, chunkSizeBytes, random }: CopyWish,
): ServerId | undefined {
  let found: { server: ServerId; rank: Rank } | undefined;
  for (const candidate of candidates) {
    const { server, rack, availableBytes, suspect } = candidate;
    const isHolder = holds(server);
    if (availableBytes < chunkSizeBytes && !isHolder) continue;
    const rank = [
      Number(suspect),
      Number(server === avoid),
      Number(racks.has(rack)),
      Number(!isHolder),
      copiesTo(server),
      fullnessOf(candidate, chunkSizeBytes) + random() * JITTER,
    ];
    if (found === undefined || compareRanks(rank, found.rank) < 0) found = { server, rank };
  }
  return found?.server;
}

/** The first ones of the list, but another rack before a second server of the same. */
function spread(ranked: readonly Candidate[], goal: number): ServerId[] {
  const chosen: ServerId[] = [];
  const left = new Set(ranked);
  while (chosen.length < goal && left.size > 0) {
    const racks = new Set<string>();
    for (const candidate of left) {
      if (chosen.length === goal) break;
      if (racks.has(candidate.rack)) continue;
      racks.add(candidate.rack);
      chosen.push(candidate.server);
      left.delete(candidate);
    }
  }
  return chosen;
}

/** The part of its disk in use, new chunks included. */
function fullnessOf(candidate: Candidate, chunkSizeBytes: number): number {
  const { totalBytes, availableBytes, placedCount } = candidate;
  const usedBytes = totalBytes - availableBytes + placedCount * chunkSizeBytes;
  return usedBytes / Math.max(totalBytes, 1);
}

/** What speaks against a server, the weightiest first: what comes later decides between those that are equal in it. */
type Rank = readonly number[];

function compareRanks(left: Rank, right: Rank): number {
  for (const [index, figure] of left.entries()) {
    const difference = figure - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The primary orders everyone's mutations: it should be somebody else each time. */
function shuffled(servers: ServerId[], random: () => number): ServerId[] {
  for (let last = servers.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const moved = servers[last] as ServerId;
    servers[last] = servers[other] as ServerId;
    servers[other] = moved;
  }
  return servers;
}
