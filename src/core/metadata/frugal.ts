import type { CommandCase } from './commands.ts';

const FRUGAL: ReadonlySet<CommandCase> = new Set<CommandCase>([
  'closeSession',
  'unlink',
  'removeDirectory',
  'removeTree',
  'continueLong',
  'setAttributes',
  'removeXattr',
  'commitLength',
  'allocate',
  'raiseVersion',
  'sealExtent',
  'reap',
  'forgetGarbage',
]);

/**
 * Whether commands of this kind are carried out when the master's disk has room for nothing new: they give space back, or
 * put in order what is there. Without them a full disk would stay full, and what was written would not be committed.
 */
export function isFrugal(kind: CommandCase): boolean {
  return FRUGAL.has(kind);
}
