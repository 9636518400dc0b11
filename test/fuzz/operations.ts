import { constants } from 'node:fs';
import { CHUNK_BYTES, type Choices } from './choices.ts';
import { XATTRS } from './xattrs.ts';

/** A kind of operation: how often it comes, and the words of a call of calls.cc. */
export interface OperationKind {
  readonly weight: number;
  readonly call: (choose: Choices) => readonly (string | number)[];
}

export type OperationTable = Readonly<Record<string, OperationKind>>;

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, S_IFIFO, S_IFREG, S_IFSOCK } =
  constants;
const { O_DIRECTORY, S_IFCHR } = constants;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;
const AT_SYMLINK_FOLLOW = 0x400;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;

const RENAME_FLAGS = [0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT];

/** All that a mount takes: nothing is moved within a file. */
const ALLOCATIONS = [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE];

/** What is done to names and attributes. */
export const TREE: OperationTable = {
  create: { weight: 8, call: (c) => ['open', c.slot(), c.path(), O_RDWR | O_CREAT | O_EXCL, c.mode()] },
  open: { weight: 8, call: (c) => ['open', c.slot(), c.path(), c.openFlags(), c.mode()] },
  'open unnamed': {
    weight: 3,
    call: (c) => ['open', c.slot(), c.directory(), O_TMPFILE | O_RDWR | c.pick([0, 0, O_EXCL]), c.mode()],
  },
  'link open': { weight: 3, call: (c) => ['linkopen', c.slot(), c.path()] },
  close: { weight: 1, call: (c) => ['close', c.slot()] },
  mkdir: { weight: 9, call: (c) => ['mkdir', c.directory(), c.directoryMode()] },
  mknod: { weight: 2, call: (c) => ['mknod', c.path(), c.pick([S_IFREG, S_IFSOCK]) | c.mode(), 0] },
  mkfifo: { weight: 1, call: (c) => ['mknod', c.path(), S_IFIFO | c.mode(), 0] },
  device: { weight: 1, call: (c) => ['mknod', c.path(), S_IFCHR | c.mode(), 0x103] },
  symlink: { weight: 4, call: (c) => ['symlink', c.target(), c.path()] },
  link: { weight: 5, call: (c) => ['link', ...c.paths(), c.pick([0, 0, AT_SYMLINK_FOLLOW])] },
  unlink: { weight: 6, call: (c) => ['unlink', c.path()] },
  rmdir: { weight: 5, call: (c) => ['rmdir', c.directory()] },
  rename: {
    weight: 10,
    call: (c) => ['rename', ...c.paths(), c.pick(RENAME_FLAGS)],
  },
  chmod: { weight: 5, call: (c) => ['chmod', c.path(), c.chance(0.5) ? 0o777 : c.mode()] },
  fchmod: { weight: 1, call: (c) => ['fchmod', c.slot(), c.mode()] },
  chown: { weight: 4, call: (c) => ['chown', c.path(), c.owner(), c.owner()] },
  utimens: { weight: 3, call: (c) => ['utimens', c.path(), c.time(), c.time()] },
  truncate: { weight: 3, call: (c) => ['truncate', c.path(), c.smallOffset()] },
  ftruncate: { weight: 2, call: (c) => ['ftruncate', c.slot(), c.smallOffset()] },
  write: { weight: 5, call: (c) => ['pwrite', c.slot(), c.smallOffset(), c.smallLength(), c.tag()] },
  append: { weight: 3, call: (c) => ['append', c.slot(), c.smallLength(), c.tag()] },
  read: { weight: 3, call: (c) => ['pread', c.slot(), c.smallOffset(), c.smallLength()] },
  fsync: { weight: 1, call: (c) => ['fsync', c.slot()] },
  stat: { weight: 3, call: (c) => ['stat', c.path()] },
  lstat: { weight: 3, call: (c) => ['lstat', c.path()] },
  fstat: { weight: 2, call: (c) => ['fstat', c.slot()] },
  access: { weight: 2, call: (c) => ['access', c.path(), c.below(8)] },
  'copy range': {
    weight: 2,
    call: (c) => ['copy_range', c.slot(), c.smallOffset(), c.slot(), c.smallOffset(), c.smallLength()],
  },
  allocate: {
    weight: 3,
    call: (c) => ['fallocate', c.slot(), c.pick(ALLOCATIONS), c.smallOffset(), c.smallLength()],
  },
  // By root: from what a person writes so, ext4 takes no set-id bits.
  'write mapped': {
    weight: 2,
    call: (c) =>
      c.user === 0
        ? ['mwrite', c.slot(), c.smallOffset(), c.smallLength() + 1, c.tag()]
        : ['mread', c.slot(), c.smallOffset(), c.smallLength() + 1],
  },
  holes: { weight: 1, call: (c) => ['seek_holes', c.slot()] },
  ...XATTRS,
  readlink: { weight: 2, call: (c) => ['readlink', c.path()] },
  readdir: { weight: 3, call: (c) => ['readdir', c.directory()] },
};

/** What is done to the bytes of two files, each opened in every second slot. */
export const DATA: OperationTable = {
  open: {
    weight: 8,
    call: (c) => {
      const { slot, file } = c.opened();
      const usual = c.pick([O_RDWR, O_RDWR | O_APPEND]);
      const flags = c.chance(0.8) ? usual : c.pick([O_RDONLY, O_WRONLY, O_WRONLY | O_APPEND]);
      const truncate = c.chance(0.03) ? O_TRUNC : 0;
      if (truncate !== 0) c.ended(file, 0);
      return ['open', slot, file, flags | truncate | O_CREAT, 0o644];
    },
  },
  close: { weight: 1, call: (c) => ['close', c.slot()] },
  read: { weight: 20, call: (c) => onFile(c, (slot, file) => ['pread', slot, c.offset(file), c.length()]) },
  write: {
    weight: 20,
    call: (c) => {
      const { slot, file } = c.opened();
      const [offset, length] = [c.offset(file), c.length()];
      c.reached(file, offset + length);
      return ['pwrite', slot, offset, length, c.tag()];
    },
  },
  append: {
    weight: 10,
    call: (c) => {
      const { slot, file } = c.opened();
      const length = c.length();
      c.reached(file, c.end(file) + length);
      return ['append', slot, length, c.tag()];
    },
  },
  truncate: {
    weight: 3,
    call: (c) => {
      const file = c.file();
      const length = c.offset(file);
      c.ended(file, length);
      return ['truncate', file, length];
    },
  },
  ftruncate: {
    weight: 3,
    call: (c) => {
      const { slot, file } = c.opened();
      const length = c.offset(file);
      c.ended(file, length);
      return ['ftruncate', slot, length];
    },
  },
  'copy range': {
    weight: 8,
    call: (c) => {
      const [source, target] = [c.opened(), c.opened()];
      const [from, to, length] = [c.offset(source.file), c.offset(target.file), c.length()];
      const copied = Math.min(length, Math.max(0, c.end(source.file) - from));
      if (copied > 0) c.reached(target.file, to + copied);
      return ['copy_range', source.slot, from, target.slot, to, length];
    },
  },
  // Of 1 MiB and more, so that both files get the same chunks.
  'copy chunks': {
    weight: 4,
    call: (c) => {
      const [source, target] = [c.opened(), c.opened()];
      const [from, to, length] = [c.below(2) * CHUNK_BYTES, c.below(4) * CHUNK_BYTES, c.longLength()];
      const copied = Math.min(length, Math.max(0, c.end(source.file) - from));
      if (copied > 0) c.reached(target.file, to + copied);
      return ['copy_range', source.slot, from, target.slot, to, length];
    },
  },
  allocate: {
    weight: 8,
    call: (c) => {
      const { slot, file } = c.opened();
      const [mode, offset, length] = [c.pick(ALLOCATIONS), c.offset(file), c.length()];
      if ((mode & KEEP_SIZE) === 0 && length > 0) c.reached(file, offset + length);
      return ['fallocate', slot, mode, offset, length];
    },
  },
  holes: { weight: 2, call: (c) => ['seek_holes', c.slot()] },
  'read mapped': {
    weight: 5,
    call: (c) => onFile(c, (slot, file) => ['mread', slot, c.offset(file), c.length() + 1]),
  },
  'write mapped': {
    weight: 5,
    call: (c) => onFile(c, (slot, file) => ['mwrite', slot, c.offset(file), c.length() + 1, c.tag()]),
  },
  fsync: { weight: 3, call: (c) => [c.pick(['fsync', 'fdatasync']), c.slot()] },
  stat: { weight: 3, call: (c) => ['stat', c.file()] },
  fstat: { weight: 2, call: (c) => ['fstat', c.slot()] },
};

type Words = readonly (string | number)[];

function onFile(choose: Choices, words: (slot: number, file: string) => Words): Words {
  const { slot, file } = choose.opened();
  return words(slot, file);
}
