import assert from 'node:assert/strict';
import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';

const NAME_BYTES = Array.from({ length: 255 }, (_, at) => at + 1).filter((byte) => byte !== 0x2f);
const hex = (byte: number) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
const GROUPS = [0, 1, 2, 3, 4, 5, 6, 7].map((group) => NAME_BYTES.filter((byte) => byte >> 5 === group));

export const OPEN: Checks = {
  'open: creat makes a file with this mode, and opens it however that reads': `
    umask 0
    open x f creat,rdwr 444
    lstat f mode size nlink uid gid -> 444 0 1 0 0
    ann: open y g creat,wronly 0
    ann: write y data -> 4
    ann: open z g rdonly -> EACCES
    lstat g uid gid mode size -> @ann @ann 0 4`,
  'open: creat of a file that is there changes nothing': `
    put f data
    chmod f 640
    open x f creat,rdwr 777
    read x 10 -> data
    stat f mode -> 640`,
  'open: creat and excl':
    'open x f creat,excl,rdwr\nopen y f creat,excl,rdwr -> EEXIST\nunlink f\nopen y f creat,excl,rdwr',
  'open: EEXIST of a directory, with excl': 'mkdir d\nopen x d creat,excl,rdonly -> EEXIST',
  'open: ENOENT without creat': 'open x f rdwr -> ENOENT\nopen x f rdonly -> ENOENT\nlist . ->',
  'open: EISDIR, a directory for writing': `
    mkdir d
    open x d wronly -> EISDIR
    open x d rdwr -> EISDIR
    open x d rdonly,trunc -> EISDIR
    open x d creat,rdonly -> EISDIR
    open x d rdonly
    read x 10 -> EISDIR`,
  'open: directory': `
    create f
    mkdir d
    symlink d l
    mkfifo p
    open x f rdonly,directory -> ENOTDIR
    open x p rdonly,directory -> ENOTDIR
    open x d rdonly,directory
    open x l rdonly,directory
    open x nothing rdonly,directory -> ENOENT`,
  'open: nofollow': `
    create f
    mkdir d
    symlink f l
    symlink d m
    symlink nothing n
    open x l rdonly,nofollow -> ELOOP
    open x n rdonly,nofollow -> ELOOP
    open x n creat,wronly,nofollow -> ELOOP
    open x m rdonly,nofollow -> ELOOP
    open x m rdonly,nofollow,directory -> ENOTDIR
    open x f rdonly,nofollow
    create d/g
    open x m/g rdonly,nofollow`,
  'open: path, of a file that the caller may not read': `
    ann: create f 0
    ann: symlink f l
    bob: open x f path
    bob: fstat x type mode -> file 0
    bob: read x 1 -> EBADF
    bob: write x a -> EBADF
    bob: open y l path,nofollow
    bob: fstat y type -> symlink
    bob: open z l path
    bob: fstat z type -> file`,
  'open: path, of a directory, to walk on from it': `
    mkdir d
    create d/f
    open x d path
    openat y x f rdonly
    fchdir x
    list . -> f`,
  'open: trunc empties':
    'put f data\nopen x f wronly,trunc\nstat f size -> 0\nput g data\nopen y g rdonly,trunc\nstat g size -> 0',
  'open: trunc needs the right to write': `
    ann: put f data
    bob: open x f rdonly,trunc -> EACCES
    bob: open x f wronly,trunc -> EACCES
    stat f size -> 4`,
  'open: creat with trunc':
    'open x f creat,trunc,wronly\nwrite x data\nopen y f creat,trunc,rdwr\nfstat x size -> 0',
  'open: append writes at the end, wherever it is': `
    put f one
    open x f wronly,append
    lseek x 0 set
    write x two -> 3
    open y f wronly,append
    write y three -> 5
    write x four -> 4
    get f -> onetwothreefour`,
  'open: append, the place behind it': `
    put f one
    open x f rdwr,append
    write x two
    lseek x 0 cur -> 6
    lseek x 0 set
    read x 10 -> onetwo`,
  'open: append set and taken away': `
    put f one
    open x f wronly
    setfl x append
    write x two
    get f -> onetwo
    setfl x rdonly
    pwrite x ONE 0
    get f -> ONEtwo`,
  'open: append to what is truncated by another descriptor': `
    put f content
    open x f wronly,append
    truncate f 3
    write x more
    get f -> conmore`,
  'open: EBADF of reading what is open for writing':
    'put f data\nopen x f wronly\nread x 4 -> EBADF\nopen y f rdonly\nwrite y data -> EBADF\nftruncate y 0 -> EBADF|EINVAL',
  'open: two descriptors, two places': `
    put f abcdef
    open x f rdonly
    open y f rdonly
    read x 2 -> ab
    read y 3 -> abc
    read x 2 -> cd
    dup z x
    read z 1 -> e
    read x 1 -> f
    read x 1 -> %`,
  'open: a file that is running is not written to': `
    ann: mkdir d
    put f #!/bin/sh
    chmod f 755
    exec ./f -> 0`,
  'open: as another creates, in his directory': `
    ann: mkdir d 755
    bob: open x d/f creat,wronly -> EACCES
    ann: create d/f 666
    bob: open x d/f creat,wronly
    bob: open y d/f creat,excl,wronly -> EEXIST`,
  'open: ENXIO of a socket': 'mknod s socket 644\nopen x s rdonly -> ENXIO\nopen x s wronly -> ENXIO',
  ...each(
    TYPE_ROWS.filter(([type]) => type === 'file' || type === 'dir' || type === 'fifo'),
    ([type, make]) => [
      `open: EACCES of a ${type} that the caller may not read`,
      `ann: ${make}
     ann: chmod n 311
     bob: open x n rdonly,nonblock -> EACCES
     ann: open x n rdonly,nonblock -> EACCES
     open x n rdonly,nonblock`,
    ],
  ),
  'openat: from a directory that was renamed':
    'mkdir d\nopen x d rdonly\nrename d e\nopenat y x f creat,wronly\nlist e -> f',
  'openat: a new file of another user': `
    mkdir d
    chmod d 777
    ann: open x d rdonly
    chmod d 755
    ann: openat y x f creat,wronly -> EACCES`,

  'lseek: set, cur, end': `
    put f content
    open x f rdonly
    lseek x 3 set -> 3
    lseek x 1 cur -> 4
    lseek x -2 end -> 5
    read x 10 -> nt
    lseek x 100 set -> 100
    read x 10 -> %
    lseek x -1 set -> EINVAL
    lseek x -200 end -> EINVAL`,
  'holes: read as zeros': `
    open x f creat,rdwr
    pwrite x end 10
    fstat x size -> 13
    pread x 20 5 -> %00%00%00%00%00end
    pread x 4 0 -> %00%00%00%00`,
  'holes: far behind the end': `
    open x f creat,rdwr
    pwrite x a 5000000000 -> 1
    fstat x size -> 5000000001
    pread x 3 4999999999 -> %00a
    pread x 2 1000000000 -> %00%00`,
  'holes: filled later': `
    open x f creat,rdwr
    pwrite x end 8
    pwrite x mid 4
    pread x 20 0 -> %00%00%00%00mid%00end`,
  'holes: take little room': `
    open x f creat,rdwr
    ftruncate x 100000000
    fsync x
    fstat x size -> 100000000`,

  ...each(
    [0, 1, 5, 4095, 4096, 4097, 65_536, 262_143, 262_144, 262_145, 1_000_000, 5_000_000_000],
    (length) => [
      `truncate: to ${length} bytes`,
      `put f content
     truncate f ${length}
     stat f size -> ${length}
     ${length > 7 ? `open x f rdonly\npread x 9 0 -> content${'%00'.repeat(Math.min(2, length - 7))}` : ''}
     ${length > 7 ? `pread x 2 ${length - 1} -> %00` : ''}`,
    ],
  ),
  'truncate: what was cut off does not come back': `
    put f content
    truncate f 3
    truncate f 7
    get f -> con%00%00%00%00`,
  'ftruncate: what was cut off does not come back': `
    open x f creat,rdwr
    write x content
    ftruncate x 3
    ftruncate x 7
    pread x 10 0 -> con%00%00%00%00`,
  'ftruncate: the place stays where it was': `
    open x f creat,rdwr
    write x content
    ftruncate x 2
    lseek x 0 cur -> 7
    write x end
    pread x 20 0 -> co%00%00%00%00%00end`,
  'truncate: EINVAL of a length below nothing':
    'create f\ntruncate f -1 -> EINVAL\nopen x f wronly\nftruncate x -1 -> EINVAL',
  'truncate: EISDIR of a directory': 'mkdir d\ntruncate d 0 -> EISDIR',
  'truncate: EINVAL of a FIFO': 'mkfifo p\ntruncate p 0 -> EINVAL',
  'truncate: a length beyond all files': `
    create f
    truncate f 9223372036854775807 -> EFBIG|EINVAL
    open x f wronly
    ftruncate x 9223372036854775807 -> EFBIG|EINVAL
    pwrite x a 9223372036854775806 -> EFBIG|EINVAL
    stat f size -> 0`,
  'truncate: needs the right to write': `
    ann: put f data
    ann: chmod f 464
    ann: truncate f 1 -> EACCES
    bob: truncate f 1 -> EACCES
    mate: truncate f 1
    stat f size -> 1`,
  'ftruncate: EINVAL of what is open for reading':
    'put f data\nopen x f rdonly\nftruncate x 1 -> EINVAL|EBADF',
  'truncate: follows links': 'put f data\nsymlink f l\ntruncate l 2\nget f -> da',
  'truncate: what is open sees it': `
    put f content
    open x f rdwr
    read x 3 -> con
    truncate f 5
    read x 10 -> te
    fstat x size -> 5`,
  'write: tells how much, and moves on': `
    open x f creat,rdwr
    write x abc -> 3
    write x de -> 2
    lseek x 0 cur -> 5
    pwrite x X 1 -> 1
    lseek x 0 cur -> 5
    get f -> aXcde`,
  'write: is seen by other descriptors at once': `
    open x f creat,rdwr
    open y f rdonly
    write x data
    read y 10 -> data
    pwrite x DATA 0
    pread y 10 0 -> DATA
    fstat y size -> 4`,
  'write: is seen by other users at once':
    'ann: open x f creat,wronly 644\nann: write x data\nbob: get f -> data',
  'write: sync': 'open x f creat,wronly,sync\nwrite x data\nget f -> data\nfsync x\nfdatasync x',
  'fsync: of a directory, and of what is open for reading': `
    mkdir d
    put f data
    open x d rdonly
    fsync x
    open y f rdonly
    fsync y
    fdatasync y`,
  'map: shared is written through':
    'put f content\nopen x f rdwr\nmap x shared 7 CON -> content\nget f -> CONtent',
  'map: private is not': 'put f content\nopen x f rdwr\nmap x private 7 CON -> content\nget f -> content',
  'map: EACCES of writing what is open for reading':
    'put f data\nopen x f rdonly\nmap x shared 4 -> EACCES\nmap x private 4 -> data',
  'map: sees what is written':
    'put f one\nopen x f rdwr\nmap x read 3 -> one\npwrite x two 0\nmap x read 3 -> two',
  'exec: runs what may be run': `
    put f #!/bin/sh%0Aexit%207
    exec ./f -> EACCES
    chmod f 755
    exec ./f -> 7
    ann: exec ./f -> 7
    chmod f 700
    ann: exec ./f -> EACCES`,
  'exec: ETXTBSY of what is open for writing': `
    put f #!/bin/sh
    chmod f 755
    open x f wronly
    ann: exec ./f -> ETXTBSY
    close x
    ann: exec ./f -> 0`,
  'exec: EACCES of a directory': 'mkdir d\nexec ./d -> EACCES',
};

export const NAMES: Checks = {
  ...each(GROUPS, (bytes) => [
    `names: each byte from ${bytes[0]} to ${bytes.at(-1)}`,
    async (world) => {
      const names = bytes.map((byte) => `x${hex(byte)}y`);
      for (const name of names) await world.script(`put ${name} ${name}`);
      for (const name of names) await world.script(`lstat ${name} size -> 3\nget ${name}`);
      const listed = await world.call('root', 'list .');
      assert.equal(listed.split(' ').length, names.length);
      for (const name of names) await world.script(`rename ${name} moved\nunlink moved`);
      await world.script('list . ->');
    },
  ]),
  'names: no Unicode is meant by them': `
    create %C3%A4
    create a%CC%88
    create %FF%FE
    lstat %C3%A4 nlink -> 1
    unlink a%CC%88
    lstat %C3%A4 nlink -> 1`,
  'names: upper and lower case are two':
    'create a\ncreate A\nput B upper\nmkdir b\nget B -> upper\nlist b ->',
  'names: dots in front and behind': `
    mkdir ...
    create .../.f
    create f.
    create ..f
    list . -> ... ..f f.
    list ... -> .f`,
  'names: blanks, line ends and quotes':
    'create %20\ncreate %0A\ncreate %22%27%5C\ncreate -rf\nunlink %20\nunlink %0A\nunlink %22%27%5C\nunlink -rf',
  ...each([1, 2, 127, 254, 255], (length) => [
    `names: of ${length} bytes, for everything`,
    `create ${'a'.repeat(length)}
     mkdir ${'d'.repeat(length)}
     symlink x ${'l'.repeat(length)}
     rename ${'a'.repeat(length)} ${'b'.repeat(length)}
     link ${'b'.repeat(length)} ${'c'.repeat(length)}
     create ${'d'.repeat(length)}/${'e'.repeat(length)}
     list ${'d'.repeat(length)} -> ${'e'.repeat(length)}
     list . -> ${['b', 'c', 'd', 'l'].map((letter) => letter.repeat(length)).join(' ')}`,
  ]),
  'names: 255 bytes that are no UTF-8': `put ${'%FF'.repeat(255)} x\nget ${'%FF'.repeat(255)} -> x`,
  'names: 256 bytes of 128 letters are too many': `create ${'%C3%A4'.repeat(128)} -> ENAMETOOLONG`,
  'names: below 20 directories of 250 bytes, walked by steps': async (world) => {
    const name = 'd'.repeat(250);
    for (let depth = 0; depth < 20; depth += 1) await world.script(`mkdir ${name}\nchdir ${name}`);
    await world.script('put f deep\nget f -> deep');
    await world.script('chdir ..\nlist .');
  },
};
