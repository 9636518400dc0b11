import assert from 'node:assert/strict';
import { ACCESS } from './checks/access.ts';
import { CHMOD } from './checks/chmod.ts';
import { CHOWN } from './checks/chown.ts';
import { DIRECTORIES } from './checks/directories.ts';
import { NAMES, OPEN } from './checks/files.ts';
import { LINKS } from './checks/links.ts';
import { PATHS } from './checks/paths.ts';
import { READ_ONLY } from './checks/read-only.ts';
import { RENAME } from './checks/rename.ts';
import { SPECIAL } from './checks/special.ts';
import { TIMES } from './checks/times.ts';
import { UNNAMED } from './checks/unnamed.ts';
import type { Checks } from './checks.ts';

/** All of it, by name. */
export const POSIX_CHECKS: Checks = joined([
  PATHS,
  CHMOD,
  CHOWN,
  ACCESS,
  OPEN,
  NAMES,
  TIMES,
  LINKS,
  DIRECTORIES,
  RENAME,
  SPECIAL,
  UNNAMED,
  READ_ONLY,
]);

function joined(parts: readonly Checks[]): Checks {
  const all = Object.assign({}, ...parts) as Checks;
  const count = parts.reduce((sum, part) => sum + Object.keys(part).length, 0);
  assert.equal(Object.keys(all).length, count, 'no two checks have one name');
  return all;
}
