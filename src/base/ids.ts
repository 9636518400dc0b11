import { GfsError } from './errors.ts';

/**
 * Ids are numbers below 2^53, dealt out by the master and never reused. The brand keeps an inode from being
 * passed where a chunk handle is meant; it costs nothing at run time.
 */
export type InodeId = number & { readonly __brand: 'InodeId' };
export type ChunkHandle = number & { readonly __brand: 'ChunkHandle' };
export type ServerId = number & { readonly __brand: 'ServerId' };
export type SessionId = number & { readonly __brand: 'SessionId' };
/** One writer of appends (P15), dealt by the master from the same counter as sessions. */
export type WriterId = number & { readonly __brand: 'WriterId' };

export const ROOT_INODE = 1 as InodeId;

export const inodeId = (value: number): InodeId => checked(value, 'inode') as InodeId;
export const chunkHandle = (value: number): ChunkHandle => checked(value, 'chunk') as ChunkHandle;
export const serverId = (value: number): ServerId => checked(value, 'server') as ServerId;
export const sessionId = (value: number): SessionId => checked(value, 'session') as SessionId;

function checked(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new GfsError('INVALID_ARGUMENT', `${value} is not an id of a ${what}`);
  }
  return value;
}

/** A chunk handle as people see it in logs, file names and `gfs stat`: 16 hexadecimal digits. */
export function hex(id: number): string {
  return id.toString(16).padStart(16, '0');
}
