import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import type { MemberAnswer } from './member-answers.ts';
import type { RaiseVersion } from './metadata/commands.ts';
import { memberCountMin } from './placement.ts';
import type { LoggedChunk, RaisePlan } from './raise-plan.ts';

/**
 * Recovery from a master's log that lost its end (P25): a server has recorded a version that the log does not have. What
 * the lost commands said of the chunk stands in the records of its replicas, so the highest of these takes the place of
 * the row, and the raise starts from there.
 */

/**
 * Versions left out after a lost one. An order of the lost log may still be under way, or be recorded by a server that
 * cannot be asked: what is raised from now on has to be above each of them. A version is raised a few times per
 * failure, so a million is far more than a log's tail holds, and far less than there are (2^53).
 */
const VERSIONS_SKIPPED = 2 ** 20;

/** What a server says that its replica's version is. */
export interface RecordedVersion {
  readonly version: number;
  readonly members: readonly ServerId[];
  readonly primary: ServerId | 0;
  readonly cutVersion?: number | undefined;
  readonly cutLength?: number | undefined;
  readonly loss: number;
}

/** The version that a raise leads to. */
export function versionAfter({
  version,
  lostVersion,
}: Pick<RaiseVersion, 'version' | 'lostVersion'>): number {
  return lostVersion === undefined ? version + 1 : lostVersion + VERSIONS_SKIPPED;
}

function highestRecorded(answers: ReadonlyMap<ServerId, MemberAnswer>): RecordedVersion | undefined {
  let highest: RecordedVersion | undefined;
  for (const answer of answers.values()) {
    const recorded = answer.kind === 'holds' ? answer.recorded : undefined;
    if (recorded !== undefined && recorded.version > (highest?.version ?? 0)) highest = recorded;
  }
  return highest;
}

/**
 * Whether the members of the highest version that was found are the last ones there were. A higher one may be active without
 * anybody who answered, if those who are silent are enough for it: its members come from these members, but for one at a
 * time that was admitted from anywhere (P3, P9). Then it is waited for, however long: no time makes the answer safe, and
 * what was acknowledged by them would be thrown away.
 */
function awaitedForRecovery(
  found: RecordedVersion,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  minimum: number,
): readonly ServerId[] {
  const isSilent = (server: ServerId) => (answers.get(server)?.kind ?? 'silent') === 'silent';
  const among = found.members.filter(isSilent);
  const elsewhere = [...answers.keys()].filter(
    (server) => isSilent(server) && !found.members.includes(server),
  );
  const couldBe = among.length + Math.min(elsewhere.length, 1);
  return couldBe < minimum ? [] : [...among, ...elsewhere];
}

/** `planOf` plans a raise from what the servers have, as if the log had it. */
export function planRecovery(
  chunk: ChunkHandle,
  logged: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  minReplicas: number,
  planOf: (found: LoggedChunk, answers: ReadonlyMap<ServerId, MemberAnswer>) => Result<RaisePlan>,
): Result<RaisePlan> {
  const { version, goal } = logged;
  const found = highestRecorded(answers);
  if (found === undefined || found.version <= version) {
    // Who reported a higher one may be silent now; if nobody is, it is gone.
    const isAnySilent = [...answers.values()].some(({ kind }) => kind === 'silent');
    if (!isAnySilent) return planOf(logged, answers);
    return refuse('NOT_READY', `chunk ${hex(chunk)}: nobody who answers has the version that was reported`);
  }
  const awaited = awaitedForRecovery(found, answers, memberCountMin(goal, minReplicas));
  if (awaited.length > 0) {
    return refuse(
      'NOT_READY',
      `chunk ${hex(chunk)}: the log lost its end, at version ${version} of ${found.version}; ` +
        `servers ${awaited.join(', ')} may have a later one, and are waited for`,
    );
  }
  const silent: MemberAnswer = { kind: 'silent', awaited: false };
  const members = [...found.members];
  const ofMembers = new Map(members.map((member) => [member, answers.get(member) ?? silent] as const));
  const { primary } = found;
  const plan = planOf({ version: found.version, members, primary, goal }, ofMembers);
  if (!plan.ok) return plan;
  const { cutVersion, cutLength, loss } = found;
  const isCutNew = cutVersion !== undefined && cutVersion > version;
  const cut = isCutNew ? { lostCutVersion: cutVersion, lostCutLength: cutLength } : {};
  const lost = { lostVersion: found.version, lostLoss: loss, ...cut };
  // None of these has the log's earlier cuts for certain.
  return ok({ ...plan.value, version, recorded: 0, ...lost });
}
