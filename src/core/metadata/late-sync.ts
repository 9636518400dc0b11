import type { CommandCase } from './commands.ts';

const LATE: ReadonlySet<CommandCase> = new Set<CommandCase>([
  'unlink',
  'removeDirectory',
  'continueLong',
  'reap',
  'forgetGarbage',
  'setAccessTimes',
  'beginClone',
]);

/**
 * Whether commands of this kind are answered as soon as they outlive the master's process, and are on its disk a moment
 * later: one that a loss of power undoes takes nothing from anybody, as long as no replica is deleted before.
 */
export function isSyncedLate(kind: CommandCase): boolean {
  return LATE.has(kind);
}
