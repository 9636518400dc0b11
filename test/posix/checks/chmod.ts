import { type Checks, each } from '../checks.ts';

/** How to make one of each type, as `n`. */
export const TYPES = {
  file: 'create n',
  dir: 'mkdir n',
  fifo: 'mkfifo n',
  socket: 'mknod n socket 644',
  char: 'mknod n char 644 1 3',
  block: 'mknod n block 644 7 0',
} as const;
export const TYPE_ROWS = Object.entries(TYPES);

export const CHMOD: Checks = {
  ...each(TYPE_ROWS, ([type, make]) => [
    `chmod: every bit of a ${type}`,
    `${make}
     chmod n 0
     lstat n type mode -> ${type} 0
     chmod n 7777
     lstat n mode -> 7777
     chmod n 4321
     lstat n mode -> 4321
     chmod n 1640
     lstat n mode -> 1640`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `chmod: the owner of a ${type} may, others may not`,
    `${make}
     chown n @ann @ann
     chmod n 666
     ann: chmod n 711
     mate: chmod n 777 -> EPERM
     bob: chmod n 777 -> EPERM
     lstat n mode -> 711`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `chmod: ctime of a ${type}, and nothing else`,
    `${make}\nmark n\nchmod n 700\nmoved n ctime`,
  ]),
  'chmod: a chmod that changes nothing moves ctime too': 'create f 644\nmark f\nchmod f 644\nmoved f ctime',
  'chmod: one that is refused moves nothing': 'ann: create f\nmark f\nbob: chmod f 600 -> EPERM\nmoved f',
  'chmod: follows links': `
    create f 600
    symlink f l
    chmod l 640
    stat f mode -> 640
    lstat l mode -> 777`,
  'chmod: the directory is not touched': 'create f\nmark .\nchmod f 600\nmoved .',
  'fchmod: by a descriptor that may only read': `
    create f 600
    open x f rdonly
    fchmod x 4755
    fstat x mode -> 4755`,
  'fchmod: the owner may, others may not': `
    ann: create f 666
    ann: open x f rdonly
    ann: fchmod x 640
    bob: open x f rdonly -> EACCES
    ann: fchmod x 644
    bob: open x f rdonly
    bob: fchmod x 666 -> EPERM
    stat f mode -> 644`,
  'fchmod: EBADF of a descriptor that is a path only': `
    create f
    open x f path
    fchmod x 600 -> EBADF`,
  'fchmod: of a file without a name': `
    create f
    open x f rdonly
    unlink f
    fchmod x 601
    fstat x mode nlink -> 601 0`,
  'chmod: setgid is lost by who is not in the group': `
    create f
    chown f @ann 0
    ann: chmod f 2755
    lstat f mode -> 755
    chown f @ann @bob
    ann: chmod f 6755
    lstat f mode -> 4755`,
  'chmod: setgid stays by who is in the group': `
    create f
    chown f @mate @ann
    mate: chmod f 2755
    lstat f mode -> 2755
    chown f @ann @ann
    ann: chmod f 6755
    lstat f mode -> 6755`,
  'chmod: setgid of a directory is lost by who is not in the group': `
    mkdir d
    chown d @ann 0
    ann: chmod d 2755
    lstat d mode -> 755`,
  'chmod: setgid of a directory stays by who is in the group': `
    ann: mkdir d
    ann: chmod d 3775
    lstat d mode -> 3775`,
  'chmod: root sets setgid of any group': 'create f\nchown f @ann @bob\nchmod f 6711\nlstat f mode -> 6711',
  'chmod: sticky of a file by its owner': 'ann: create f\nann: chmod f 1644\nlstat f mode -> 1644',
  'chmod: open files stay open': `
    ann: create f 644
    bob: open x f rdonly
    ann: chmod f 0
    bob: read x 10 -> %
    bob: open y f rdonly -> EACCES
    ann: open y f rdonly -> EACCES`,
  'chmod: an open writer goes on': `
    ann: create f 666
    bob: open x f rdwr
    ann: chmod f 0
    bob: write x data -> 4
    bob: ftruncate x 2
    bob: fstat x size -> 2`,

  ...each(
    [
      ['a write', 'bob: open x f wronly\nbob: write x data -> 4'],
      ['a write behind the end', 'bob: open x f wronly\nbob: pwrite x data 100000 -> 4'],
      ['an append', 'bob: open x f wronly,append\nbob: write x data -> 4'],
      ['truncate', 'bob: truncate f 2'],
      ['ftruncate', 'bob: open x f wronly\nbob: ftruncate x 2'],
      ['open with trunc', 'bob: open x f wronly,trunc'],
      ['open with creat and trunc', 'bob: open x f wronly,creat,trunc'],
    ] as const,
    ([what, change]) => [
      `set-id bits: cleared by ${what} of another`,
      `ann: put f content
       ann: chmod f 6777
       ${change}
       lstat f mode -> 777`,
    ],
  ),
  ...each(
    [
      ['a write', 'ann: open x f wronly\nann: write x data'],
      ['truncate', 'ann: truncate f 2'],
    ] as const,
    ([what, change]) => [
      `set-id bits: cleared by ${what} of the owner`,
      `ann: put f content
       ann: chmod f 6755
       ${change}
       lstat f mode -> 755`,
    ],
  ),
  ...each(
    [
      ['a write', 'open x f wronly\nwrite x data'],
      ['truncate', 'truncate f 2'],
      ['open with trunc', 'open x f wronly,trunc'],
    ] as const,
    ([what, change]) => [
      `set-id bits: kept by ${what} of root`,
      `ann: put f content
       ann: chmod f 6777
       ${change}
       lstat f mode -> 6777`,
    ],
  ),
  'set-id bits: a write of nothing clears nothing': `
    ann: create f
    ann: chmod f 6777
    bob: open x f wronly
    bob: write x % -> 0
    lstat f mode -> 6777`,
  'set-id bits: setgid without group execution stays for who is in the group': `
    ann: create f
    ann: chmod f 2766
    ann: open x f wronly
    ann: write x data
    lstat f mode -> 2766`,
  'set-id bits: setgid without group execution goes for who is not in the group': `
    ann: create f
    ann: chmod f 2766
    bob: open x f wronly
    bob: write x data
    bob: close x
    lstat f mode -> 766`,
  'set-id bits: reading clears nothing': `
    ann: put f content
    ann: chmod f 6755
    bob: get f -> content
    lstat f mode -> 6755`,
  'set-id bits: linking and renaming clear nothing': `
    ann: create f
    ann: chmod f 6755
    ann: link f g
    ann: rename f h
    lstat h mode -> 6755`,
};
