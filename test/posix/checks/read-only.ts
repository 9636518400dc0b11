import { type Checks, each } from '../checks.ts';

const FURNISHED = `
  mkdir ro 777
  chmod ro 777
  ann: put ro/f data
  mkdir ro/d
  symlink f ro/l
  mkfifo ro/p
  open old ro/f rdwr
  protect ro`;

/** What changes something, and what comes of it where nothing may be changed. */
const REFUSED: readonly (readonly [call: string, errno: string])[] = [
  ['open x ro/f wronly', 'EROFS'],
  ['open x ro/f rdwr', 'EROFS'],
  ['open x ro/f wronly,append', 'EROFS'],
  ['open x ro/f wronly,trunc', 'EROFS'],
  ['open x ro/new creat,wronly', 'EROFS'],
  ['open x ro/new creat,rdonly', 'EROFS'],
  ['open x ro/f creat,excl,wronly', 'EEXIST'],
  ['open x ro/none wronly', 'ENOENT'],
  ['open x ro/f/x creat,wronly', 'ENOTDIR'],
  ['mkdir ro/new', 'EROFS'],
  ['mkdir ro/d', 'EEXIST'],
  ['mkdir ro/none/new', 'ENOENT'],
  ['mkfifo ro/new', 'EROFS'],
  ['mkfifo ro/p', 'EEXIST'],
  ['mknod ro/new file 644', 'EROFS'],
  ['symlink to ro/new', 'EROFS'],
  ['symlink to ro/l', 'EEXIST'],
  ['link ro/f ro/new', 'EROFS'],
  ['link ro/f ro/d', 'EEXIST'],
  ['link ro/none ro/new', 'ENOENT'],
  ['unlink ro/f', 'EROFS'],
  ['unlink ro/none', 'EROFS'],
  ['rmdir ro/d', 'EROFS'],
  ['rename ro/f ro/g', 'EROFS'],
  ['rename ro/none ro/g', 'EROFS'],
  ['rename out ro/g', 'EXDEV'],
  ['truncate ro/f 1', 'EROFS'],
  ['truncate ro/none 1', 'ENOENT'],
  ['truncate ro/d 1', 'EISDIR'],
  ['chmod ro/f 600', 'EROFS'],
  ['chmod ro/none 600', 'ENOENT'],
  ['chown ro/f 1 1', 'EROFS'],
  ['lchown ro/l 1 1', 'EROFS'],
  ['utimens ro/f 1 2', 'EROFS'],
  ['utimens ro/f now now', 'EROFS'],
  ['utimens ro/l 1 2 nofollow', 'EROFS'],
  ['access ro/f 2', 'EROFS'],
  ['access ro/d 2', 'EROFS'],
  ['access ro/none 2', 'ENOENT'],
];

/** A directory that is mounted read-only at its own place; what is open from before may be written to. */
export const READ_ONLY: Checks = {
  ...each(REFUSED, ([call, errno]) => [
    `read-only: ${errno} of ${call.replaceAll('ro/', '')}`,
    `create out
     ${FURNISHED}
     mark ro ro/f ro/d
     ${call} -> ${errno}
     moved ro
     moved ro/f
     moved ro/d
     list ro -> d f l p`,
  ]),
  'read-only: reading is allowed': `
    ${FURNISHED}
    get ro/f -> data
    list ro -> d f l p
    readlink ro/l -> f
    access ro/f 4
    open x ro/f rdonly
    map x read 4 -> data
    open y ro/f creat,rdonly`,
  'read-only: a FIFO is no part of it': `
    ${FURNISHED}
    access ro/p 2
    open x ro/p rdwr,nonblock
    write x data -> 4
    read x 4 -> data`,
  'read-only: to others as well, who may not open it anyway': `
    ${FURNISHED}
    bob: open x ro/f wronly -> EACCES
    bob: mkdir ro/new -> EROFS
    bob: chmod ro/f 600 -> EROFS
    bob: unlink ro/f -> EROFS`,
};
