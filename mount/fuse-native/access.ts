import { TYPE } from '../wire/numbers.ts';
import type { NodeAttributes } from '../wire/replies.ts';

const EXECUTE = 1;
const ANY_EXECUTE = 0o111;

export interface Person {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** Whoever runs this process. */
const self = (): Person => ({
  uid: process.geteuid?.() ?? 0,
  groups: [process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])],
});

/** Whether access(2) with this mask is granted. */
export function isAllowed({ mode, uid, gid }: NodeAttributes, mask: number, person = self()): boolean {
  if (person.uid === 0) {
    // Root may do all, but execute what nobody may.
    return !(mask & EXECUTE) || (mode & TYPE.MASK) === TYPE.DIRECTORY || (mode & ANY_EXECUTE) !== 0;
  }
  const shift = person.uid === uid ? 6 : person.groups.includes(gid) ? 3 : 0;
  return ((mode >> shift) & mask) === mask;
}
