import { NAME_BYTES_MAX } from '../../base/constants.ts';
import { type Refusal, refuse } from '../../base/result.ts';

const DOT = 0x2e;
const SLASH = 0x2f;

export function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === DOT;
}

export function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT;
}

/** Why a name cannot be that of an entry; undefined: it can. */
export function badName(name: Uint8Array): { ok: false; error: Refusal } | undefined {
  if (name.length === 0) return refuse('INVALID_ARGUMENT', 'a name is empty');
  if (name.length > NAME_BYTES_MAX) return nameTooLong(name);
  if (isDot(name) || isDotDot(name))
    return refuse('INVALID_ARGUMENT', '"." and ".." are not names of entries');
  if (name.includes(SLASH) || name.includes(0))
    return refuse('INVALID_ARGUMENT', 'a name holds "/" or a zero byte');
  return undefined;
}

export function nameTooLong(name: Uint8Array): { ok: false; error: Refusal } {
  return refuse('NAME_TOO_LONG', `a name of ${name.length} bytes; ${NAME_BYTES_MAX} are allowed`);
}
