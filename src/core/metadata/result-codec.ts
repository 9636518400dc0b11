import { GfsError, isErrorCode } from '../../base/errors.ts';
import type { ChunkHandle, InodeId } from '../../base/ids.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import type { RowReader, RowWriter } from './codec.ts';
import { type CommandCase, type CommandResult, type CommandResults, DONE } from './commands.ts';
import { readChunk, readInode, readTime, writeChunk, writeInode, writeTime } from './row-codecs.ts';
import type { Attributes, Extent } from './rows.ts';

/**
 * Remembered results, packed: up to where answers had arrived, the command's kind, whether it was refused, the answer.
 * Kinds and refusals are written by name, so that the lists of them may change.
 */
export function writeResult(
  row: RowWriter,
  {
    acknowledged,
    $case,
    result,
  }: { acknowledged: number; $case: CommandCase; result: Result<CommandResult> },
): RowWriter {
  row
    .number(acknowledged)
    .text($case)
    .byte(result.ok ? 1 : 0);
  if (result.ok) return SHAPES[$case].write(row, result.value as never);
  const fields = Object.entries(result.error.fields ?? {});
  row.text(result.error.code).text(result.error.message).number(fields.length);
  for (const [key, value] of fields) row.text(key).text(value);
  return row;
}

export function readAcknowledged(row: RowReader): number {
  return row.number();
}

/** A number that was used for a command of another kind is refused: its answer would not fit. */
export function readResult(row: RowReader, $case: CommandCase): Result<CommandResult> {
  readAcknowledged(row);
  const kind = row.text();
  if (kind !== $case) return refuse('INVALID_ARGUMENT', `the number was used before, for ${kind}`);
  if (row.byte() === 1) return ok(SHAPES[$case].read(row));
  const code = row.text();
  if (!isErrorCode(code)) throw new GfsError('CORRUPT', `a remembered refusal has the unknown code ${code}`);
  const message = row.text();
  const fields = Array.from({ length: row.number() }, () => [row.text(), row.text()] as const);
  return fields.length === 0 ? refuse(code, message) : refuse(code, message, Object.fromEntries(fields));
}

interface Shape<T> {
  write(row: RowWriter, value: T): RowWriter;
  read(row: RowReader): T;
}

const done: Shape<CommandResults['reap']> = { write: (row) => row, read: () => DONE };

const attributes: Shape<Attributes> = {
  write: (row, value) => writeInode(row.number(value.inode), value),
  read: (row) => readInode(row, row.number() as InodeId),
};

const accessTimesSet: Shape<CommandResults['setAccessTimes']> = {
  write: (row, { inodes }) => writeInodes(row, inodes),
  read: (row) => ({ inodes: readInodes(row) }),
};

const createdFile: Shape<CommandResults['createFile']> = {
  write: (row, value) => attributes.write(row.byte(value.created ? 1 : 0), value.attributes),
  read: (row) => ({ created: row.byte() === 1, attributes: attributes.read(row) }),
};

const committed: Shape<CommandResults['commitLength']> = {
  write: (row, value) => attributes.write(writeTime(row, value.previousCtime), value.attributes),
  read: (row) => ({ previousCtime: readTime(row), attributes: attributes.read(row) }),
};

const shared: Shape<CommandResults['shareExtents']> = {
  write: (row, value) => committed.write(row.number(value.length), value),
  read: (row) => ({ length: row.number(), ...committed.read(row) }),
};

/** What was replaced comes last, if there was any: nothing is there of answers from before links replaced. */
const linked: Shape<CommandResults['makeLink']> = {
  write(row, { linked, replaced }) {
    attributes.write(row, linked);
    return replaced === undefined ? row : attributes.write(row, replaced);
  },
  read(row) {
    return { linked: attributes.read(row), replaced: row.atEnd ? undefined : attributes.read(row) };
  },
};

const removed: Shape<CommandResults['unlink']> = {
  write: (row, value) => attributes.write(row, value.inode),
  read: (row) => ({ inode: attributes.read(row) }),
};

const continued: Shape<CommandResults['continueLong']> = {
  write: (row, { files, ended }) => writeInodes(row.byte(ended ? 1 : 0), files),
  read: (row) => ({ ended: row.byte() === 1, files: readInodes(row) }),
};

const renamed: Shape<CommandResults['rename']> = {
  write(row, { moved, other }) {
    attributes.write(row.byte(other === undefined ? 0 : 1), moved);
    return other === undefined ? row : attributes.write(row, other);
  },
  read(row) {
    const hasOther = row.byte() === 1;
    return { moved: attributes.read(row), other: hasOther ? attributes.read(row) : undefined };
  },
};

const extent: Shape<Extent> = {
  write(row, { start, chunk, sealedLength }) {
    row
      .number(start)
      .number(chunk)
      .byte(sealedLength === undefined ? 0 : 1);
    return sealedLength === undefined ? row : row.number(sealedLength);
  },
  read: (row) => ({
    start: row.number(),
    chunk: row.number() as ChunkHandle,
    sealedLength: row.byte() === 1 ? row.number() : undefined,
  }),
};

const namedAppender: Shape<CommandResults['nameAppender']> = {
  write: (row, { writer, from, highest, truncations, truncated }) =>
    row
      .number(writer)
      .number(from)
      .number(highest)
      .number(truncations)
      .byte(truncated ? 1 : 0),
  read(row) {
    const [writer, from, highest, truncations] = [row.number(), row.number(), row.number(), row.number()];
    return { writer, from, highest, truncations, truncated: row.byte() === 1 };
  },
};

function writeInodes(row: RowWriter, inodes: readonly InodeId[]): RowWriter {
  row.number(inodes.length);
  for (const inode of inodes) row.number(inode);
  return row;
}

function readInodes(row: RowReader): InodeId[] {
  return Array.from({ length: row.number() }, () => row.number() as InodeId);
}

const SHAPES: { readonly [K in CommandCase]: Shape<CommandResults[K]> } = {
  format: done,
  openSession: done,
  closeSession: done,
  addServer: done,
  reserveWriters: done,
  createFile: createdFile,
  createUnnamed: attributes,
  makeNode: attributes,
  makeLink: linked,
  unlink: removed,
  removeDirectory: removed,
  removeTree: removed,
  continueLong: continued,
  rename: renamed,
  setAttributes: attributes,
  setAccessTimes: accessTimesSet,
  setXattr: attributes,
  removeXattr: attributes,
  commitLength: committed,
  allocate: committed,
  addChunk: extent,
  raiseVersion: { write: writeChunk, read: readChunk },
  sealExtent: extent,
  shareExtents: shared,
  beginClone: done,
  cloneExtent: extent,
  nameAppender: namedAppender,
  reap: done,
  forgetGarbage: done,
};
