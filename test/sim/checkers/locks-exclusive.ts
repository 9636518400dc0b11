// Of locks that exclude one another, only one is held; and whoever holds one finds what was written under it before. A lock ends
// when its holder gives it up or dies, or when his session has ended: that, the master knows first, and the holder with the next
// thing that he asks. So for a while two may believe what only one of them can have confirmed.
import type { SessionId } from '../../../src/base/ids.ts';
import type { Process } from '../node.ts';

/** A lock from its grant on, as its holder sees it. */
export interface Hold {
  readonly file: string;
  /** Cells, the last one included. */
  readonly first: number;
  readonly last: number;
  readonly exclusive: boolean;
  readonly owner: string;
  readonly env: Pick<Process['env'], 'name' | 'alive'>;
  /** Of his client, as it is now. */
  readonly client: { readonly session: SessionId };
  readonly session: SessionId;
}

/** Two that believe at a time what only one of them can have. */
interface Overlap {
  readonly holds: readonly [Hold, Hold];
  /** The second was granted before a restarted master could know that the first was over. */
  readonly early: boolean;
  readonly confirmed: Set<Hold>;
}

/** A promise was broken. */
export class WrongLock extends Error {
  override name = 'WrongLock';
}

export class LockModel {
  readonly #holds = new Set<Hold>();
  readonly #overlaps: Overlap[] = [];

  /** `early`: the master that granted it has not been there for a session's time-out. */
  granted(hold: Hold, early: boolean): void {
    for (const other of this.#holds) {
      if (!other.env.alive) this.#holds.delete(other);
      else if (excludes(hold, other)) {
        this.#overlaps.push({ holds: [other, hold], early, confirmed: new Set() });
      }
    }
    this.#holds.add(hold);
  }

  /** From here on the holder does not rely on it. */
  over(hold: Hold): void {
    this.#holds.delete(hold);
  }

  /** What the holder's next question to the master will decide; to be called before he asks. */
  asking(hold: Hold): readonly Overlap[] {
    return this.#overlaps.filter(({ holds }) => holds.includes(hold));
  }

  /** The master said that he has it still. */
  confirmed(hold: Hold, overlaps: readonly Overlap[]): void {
    for (const { holds, confirmed } of overlaps) {
      confirmed.add(hold);
      if (confirmed.size === 2) throw new WrongLock(`both have it: ${holds.map(described).join(' and ')}`);
    }
  }

  /** Whether somebody else believed to have it while this one did. */
  isDisputed(hold: Hold): boolean {
    return this.#overlaps.some(({ holds }) => holds.includes(hold));
  }

  /** Now that everybody has heard from the master: who lost his lock to an early grant lost his session before. */
  checkAll(): void {
    for (const { holds, early } of this.#overlaps) {
      if (!early || holds.some(({ env, client, session }) => !env.alive || client.session !== session))
        continue;
      throw new WrongLock(`granted before all had told: ${holds.map(described).join(' and ')}`);
    }
  }
}

function excludes(one: Hold, other: Hold): boolean {
  if (one.file !== other.file || (one.env === other.env && one.owner === other.owner)) return false;
  return (one.exclusive || other.exclusive) && one.first <= other.last && other.first <= one.last;
}

function described({ env, owner, file, first, last, exclusive }: Hold): string {
  return `${env.name} ${owner}, ${exclusive ? 'exclusive' : 'shared'} ${file} ${first}-${last}`;
}

/** What a place in a file may have, that is written under locks alone. */
export class LockedCell {
  #candidates: readonly number[] = [0];
  /** A write may still come, of somebody who has given it up and lives on. */
  #isLoose = false;

  /** It may be there from now on. */
  written(value: number): void {
    this.#candidates = [...this.#candidates, value];
  }

  /** It is there, unless somebody has written since. */
  settled(value: number): void {
    if (!this.#isLoose && this.#candidates.at(-1) === value) this.#candidates = [value];
  }

  givenUp(): void {
    this.#isLoose = true;
  }

  /** Found by somebody who had it locked. `lasts`: nothing takes from the disks what was there once. */
  found(name: string, value: number, lasts: boolean): void {
    if (!this.#candidates.includes(value)) {
      throw new WrongLock(`${name} has ${value}, and not one of ${this.#candidates}`);
    }
    if (lasts && !this.#isLoose) {
      // What was written since it was read stays possible.
      this.#candidates = this.#candidates.slice(this.#candidates.indexOf(value));
    }
  }
}
