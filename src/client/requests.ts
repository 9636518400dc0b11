import { must } from '../base/assert.ts';
import type { Attributes, Caller, SetAttributesRequest } from '../rpc/messages.ts';
import type { AttributeChanges, Identity } from './api.ts';

/** Who asks, as messages name him. (Their type says that the list may be changed; nobody does.) */
export function callerMessage(caller: Identity): Caller {
  return caller as Caller;
}

export function attributesOf(answer: { attributes: Attributes | undefined }): Attributes {
  return must(answer.attributes, 'such an answer brings attributes');
}

/** Names are sent as they are; the generated types want a Buffer. */
export function nameOf(name: Uint8Array): Buffer {
  return Buffer.isBuffer(name) ? name : Buffer.from(name.buffer, name.byteOffset, name.length);
}

export function attributesRequest(
  inode: number,
  changes: AttributeChanges,
  byOpenFile: boolean,
): SetAttributesRequest {
  const { mode, uid, gid, length, atime, mtime, dropSetIds } = changes;
  return {
    context: undefined,
    inode,
    mode,
    uid,
    gid,
    length,
    atime: atime === 'now' ? undefined : atime,
    mtime: mtime === 'now' ? undefined : mtime,
    atimeNow: atime === 'now',
    mtimeNow: mtime === 'now',
    byOpenFile,
    dropSetIds,
  };
}
