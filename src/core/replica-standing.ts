import { type Refusal, refuse } from '../base/result.ts';
import type { ReplicaContent } from './replica-content.ts';
import type { Standing, VersionRecord } from './replica-types.ts';
import type { Rules } from './rules.ts';

/**
 * What a replica may do in this process, from what its log says and from what happened since it was found or made. Each
 * question is answered by the refusal, or undefined where there is none.
 */
export class ReplicaStanding {
  readonly #withoutRules: Rules;
  /** What it recorded comes from an earlier process (P6). */
  #restarted: boolean;
  /** The lesson that it took to the end in this process: what clients were told meanwhile, it has (P9). */
  #learned: string | undefined;

  constructor({ restarted, withoutRules }: { readonly restarted: boolean; readonly withoutRules: Rules }) {
    this.#restarted = restarted && !withoutRules.has('P6');
    this.#withoutRules = withoutRules;
  }

  of({ lesson, record, reconciledVersion }: StandingFacts): Standing {
    if (this.#restarted) return 'restarted';
    if (lesson !== undefined) return 'learning';
    return reconciledVersion === record.version ? 'reconciled' : 'unreconciled';
  }

  /** Of an order: `lesson` is what a learner takes it in; a member has none. */
  refusalOfOrder(content: ReplicaContent, lesson: string | undefined): Refusal | undefined {
    const standing = this.of(content);
    const isReady = standing === (lesson === undefined ? 'reconciled' : 'learning');
    if (isReady && content.lesson === lesson) return undefined;
    return refuse('NOT_READY', `it is ${standing}`, { standing }).error;
  }

  /** A replica takes versions above its own only (P2). */
  refusalOfVersion(content: ReplicaContent, { version }: VersionRecord): Refusal | undefined {
    const own = content.record.version;
    if (version > own || this.#withoutRules.has('P2')) return undefined;
    return otherVersion(own);
  }

  /** A learner begins at a version above its own, or at its own in an earlier lesson (P9). */
  refusalOfLearning(content: ReplicaContent, { version }: VersionRecord): Refusal | undefined {
    const own = content.record.version;
    if (version > own || (version === own && content.lesson !== undefined)) return undefined;
    return otherVersion(own);
  }

  refusalOfLesson(content: ReplicaContent, lesson: string, serial: number): Refusal | undefined {
    const refusal = content.refusalOfLesson(lesson, serial);
    if (refusal !== undefined || !this.#restarted) return refusal;
    return refuse('NOT_READY', 'its lesson was broken off').error;
  }

  refusalOfReconcileStep(content: ReplicaContent, version: number): Refusal | undefined {
    const own = content.record.version;
    if (version !== own) return otherVersion(own, `, not ${version}`);
    // What it was reconciled to before the restart may have grown since, on others too (P6).
    if (!this.#restarted && content.lesson === undefined) return undefined;
    return refuse('NOT_READY', 'it waits for a new version').error;
  }

  /**
   * Of a clone under another handle, at the same version (P20): it has to be what all members have, and under a frozen
   * version that stays so from the reconcile on, whatever process it was in.
   */
  refusalOfCloning(content: ReplicaContent, version: number): Refusal | undefined {
    const own = content.record.version;
    if (version !== own) return otherVersion(own, `, not ${version}`);
    if (content.lesson === undefined && this.isWhole(content) && content.reconciled) return undefined;
    return refuse('NOT_READY', 'it is not known to be what the other members have').error;
  }

  /** How long it is when it has recorded a version: a truncation that it missed is repeated (P19). */
  lengthUnder(content: ReplicaContent, { cutVersion, cutLength }: VersionRecord): number {
    const isBehind = content.record.version < (cutVersion ?? 0) && !this.#withoutRules.has('P19');
    // What a reconcile that did not end put behind the end goes in any case.
    return Math.min(content.settledLength, (isBehind ? cutLength : undefined) ?? content.length);
  }

  /** What it holds is all that its members have, as its log or a lesson that it took to the end says. */
  isWhole(content: ReplicaContent): boolean {
    const hasLearned = content.lesson !== undefined && content.lesson === this.#learned;
    return content.whole || hasLearned;
  }

  /** A version was recorded in this process. */
  noteVersion(): void {
    this.#restarted = false;
  }

  noteLessonBegun(): void {
    this.#restarted = false;
    this.#learned = undefined;
  }

  noteLessonEnded(lesson: string): void {
    this.#learned = lesson;
  }
}

type StandingFacts = Pick<ReplicaContent, 'lesson' | 'record' | 'reconciledVersion'>;

function otherVersion(own: number, note = ''): Refusal {
  return refuse('VERSION_MISMATCH', `it is at version ${own}${note}`, { version: String(own) }).error;
}
