import { refuse } from '../../base/result.ts';
import { prepareSetAccessTimes } from './apply-access-times.ts';
import { prepareNameAppender } from './apply-appenders.ts';
import { prepareSetAttributes } from './apply-attributes.ts';
import {
  prepareAddChunk,
  prepareAllocate,
  prepareCommitLength,
  prepareRaiseVersion,
  prepareSealExtent,
} from './apply-chunks.ts';
import { prepareCreateFile, prepareCreateUnnamed, prepareMakeNode } from './apply-create.ts';
import { prepareMakeLink } from './apply-link.ts';
import { prepareForgetGarbage, prepareReap } from './apply-reap.ts';
import { prepareRemoveDirectory, prepareUnlink } from './apply-remove.ts';
import { prepareContinueLong, prepareRemoveTree } from './apply-remove-tree.ts';
import { prepareRename } from './apply-rename.ts';
import { prepareBeginClone, prepareCloneExtent, prepareShareExtents } from './apply-shares.ts';
import {
  prepareAddServer,
  prepareCloseSession,
  prepareFormat,
  prepareOpenSession,
  prepareReserveWriters,
} from './apply-system.ts';
import { prepareRemoveXattr, prepareSetXattr } from './apply-xattrs.ts';
import type { Command, CommandCase, CommandResult } from './commands.ts';
import type { Prepare, Prepared } from './prepared.ts';
import type { MetadataState } from './state.ts';

/** Each kind of command with its rules: what it refuses, and what it writes. */
const PREPARE: { readonly [K in CommandCase]: Prepare<K> } = {
  format: prepareFormat,
  openSession: prepareOpenSession,
  closeSession: prepareCloseSession,
  addServer: prepareAddServer,
  reserveWriters: prepareReserveWriters,
  createFile: prepareCreateFile,
  createUnnamed: prepareCreateUnnamed,
  makeNode: prepareMakeNode,
  makeLink: prepareMakeLink,
  unlink: prepareUnlink,
  removeDirectory: prepareRemoveDirectory,
  removeTree: prepareRemoveTree,
  continueLong: prepareContinueLong,
  rename: prepareRename,
  setAttributes: prepareSetAttributes,
  setAccessTimes: prepareSetAccessTimes,
  setXattr: prepareSetXattr,
  removeXattr: prepareRemoveXattr,
  commitLength: prepareCommitLength,
  allocate: prepareAllocate,
  addChunk: prepareAddChunk,
  raiseVersion: prepareRaiseVersion,
  sealExtent: prepareSealExtent,
  shareExtents: prepareShareExtents,
  beginClone: prepareBeginClone,
  cloneExtent: prepareCloneExtent,
  nameAppender: prepareNameAppender,
  reap: prepareReap,
  forgetGarbage: prepareForgetGarbage,
};

/** Reads and refuses, or returns what writes. Total: every command on every state gives the one or the other. */
export function prepare(state: MetadataState, command: Command): Prepared<CommandResult> {
  if (state.filesystem === undefined && command.body.$case !== 'format') {
    return refuse('INVALID_ARGUMENT', 'there is no file system yet');
  }
  const one = PREPARE[command.body.$case] as Prepare<CommandCase>;
  return one(state, command.body.value as never, command) as Prepared<CommandResult>;
}
