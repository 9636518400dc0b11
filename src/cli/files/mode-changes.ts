import { UsageError } from '../program.ts';

const OCTAL = /^[0-7]{1,4}$/;
const CLAUSE = /^([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)$/;
const ACTION = /[-+=](?:[ugo]|[rwxXst]*)/g;
const ALL = 'ugo';
const SHIFTS: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };
const SET_IDS: Readonly<Record<string, number>> = { u: 0o4000, g: 0o2000, o: 0 };
const STICKY = 0o1000;
const ANY_EXECUTE = 0o111;

export interface ModeBefore {
  readonly mode: number;
  readonly isDirectory: boolean;
  readonly umask: number;
}

/** What a mode as of chmod(1) makes of another: "0755", "u+x,go-w", "a=rX". Where nobody is named the umask says whom it is about. */
export function changedMode(text: string, { mode, isDirectory, umask }: ModeBefore): number {
  if (OCTAL.test(text)) return Number.parseInt(text, 8);
  let changed = mode;
  for (const clause of text.split(',')) {
    const [, who = '', actions = ''] = CLAUSE.exec(clause) ?? [];
    if (actions === '') throw new UsageError(`mode: "${text}" is neither octal, as 0755, nor as u+x,go-w`);
    for (const action of actions.match(ACTION) ?? []) {
      changed = applied(changed, action, { who, isDirectory, umask });
    }
  }
  return changed;
}

function applied(
  mode: number,
  action: string,
  { who, isDirectory, umask }: { who: string; isDirectory: boolean; umask: number },
): number {
  const classes = who === '' || who.includes('a') ? ALL : who;
  const kept = who === '' ? ~umask : ~0;
  const [operator] = action;
  const letters = action.slice(1);
  let bits = 0;
  let cleared = 0;
  for (const each of classes) {
    const shift = SHIFTS[each] ?? 0;
    bits |= permissions(letters, mode, isDirectory) << shift;
    if (letters.includes('s')) bits |= SET_IDS[each] ?? 0;
    // As GNU chmod: the set-id bits of a directory go only when they are named.
    cleared |= (0o7 << shift) | (isDirectory ? 0 : (SET_IDS[each] ?? 0));
  }
  bits &= kept | 0o7000;
  if (letters.includes('t') && classes.includes('o')) bits |= STICKY;
  if (operator === '+') return mode | bits;
  if (operator === '-') return mode & ~bits;
  return (mode & ~cleared & ~(classes === ALL ? STICKY : 0)) | bits;
}

/** Of one class: 0 to 7. */
function permissions(letters: string, mode: number, isDirectory: boolean): number {
  const shift = SHIFTS[letters];
  if (shift !== undefined) return (mode >> shift) & 0o7;
  let bits = 0;
  if (letters.includes('r')) bits |= 0o4;
  if (letters.includes('w')) bits |= 0o2;
  if (letters.includes('x')) bits |= 0o1;
  if (letters.includes('X') && (isDirectory || (mode & ANY_EXECUTE) !== 0)) bits |= 0o1;
  return bits;
}
