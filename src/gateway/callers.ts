import { GfsError } from '../base/errors.ts';
import type { Identity } from '../client/api.ts';
import type { ServerContext } from '../rpc/network.ts';

/** Who the callers of a gateway are: who each says he is, or one and the same. */
export type Callers = 'metadata' | Identity;

/** The user and group that may do what anybody may. */
const NOBODY = 65_534;
/** 2^32 - 1 is no id: to chown(2) it means nobody in particular. */
const ID_MAX = 2 ** 32 - 2;
/** Linux: NGROUPS_MAX. */
const GROUPS_MAX = 65_536;

/** "metadata", or "1000:1000,27": a user and his groups, the first is the primary. */
export function parseCallers(text: string): Callers {
  if (text === 'metadata') return text;
  const match = /^(\d+):(.+)$/.exec(text);
  const identity = match === null ? undefined : identityOf(match[1] ?? '', match[2] ?? '');
  if (identity !== undefined) return identity;
  throw new GfsError('INVALID_ARGUMENT', `"${text}" is neither "metadata" nor UID:GID[,GID...]`);
}

/** Who asks. There is no authentication: what a caller says of himself is believed, or not asked for. */
export function callerOf(callers: Callers, context: Pick<ServerContext, 'metadata'>): Identity {
  const told = toldIdentity(context);
  if (callers === 'metadata') return told ?? { uid: NOBODY, gid: NOBODY, groups: [] };
  if (told !== undefined && !isSame(told, callers)) {
    // Whoever thinks that he is somebody else would be surprised by what he may do, and by whose his files are.
    throw new GfsError('PERMISSION_DENIED', `here everybody is user ${callers.uid}: leave x-user out`);
  }
  return callers;
}

function toldIdentity({ metadata }: Pick<ServerContext, 'metadata'>): Identity | undefined {
  const user = metadata('x-user');
  const groups = metadata('x-groups');
  if (user === undefined) {
    if (groups === undefined) return undefined;
    throw new GfsError('INVALID_ARGUMENT', 'metadata has x-groups, and no x-user');
  }
  const identity = identityOf(user, groups ?? String(NOBODY));
  if (identity !== undefined) return identity;
  throw new GfsError(
    'INVALID_ARGUMENT',
    'metadata x-user is the number of a user, x-groups numbers with commas in between',
  );
}

function identityOf(user: string, groupList: string): Identity | undefined {
  const uid = idOf(user);
  const [gid, ...groups] = groupList.split(',').map(idOf);
  if (uid === undefined || gid === undefined || groups.length > GROUPS_MAX) return undefined;
  const known = groups.filter((group) => group !== undefined);
  return known.length === groups.length ? { uid, gid, groups: known } : undefined;
}

function idOf(text: string): number | undefined {
  const trimmed = text.trim();
  return /^\d{1,10}$/.test(trimmed) && Number(trimmed) <= ID_MAX ? Number(trimmed) : undefined;
}

function isSame(one: Identity, other: Identity): boolean {
  return one.uid === other.uid && one.gid === other.gid && String(one.groups) === String(other.groups);
}
