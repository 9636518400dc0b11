import assert from 'node:assert/strict';
import { type Checks, each } from '../checks.ts';

const DEVICES = [
  [0, 0],
  [1, 3],
  [255, 255],
  [300, 1],
  [1, 300],
  [4095, 1_048_575],
] as const;

export const SPECIAL: Checks = {
  'mkfifo: mode, owner, links':
    'umask 0\nann: umask 0\nann: mkfifo p 640\nlstat p type mode uid gid nlink size -> fifo 640 @ann @ann 1 0',
  'mkfifo: times': 'mark .\nmkfifo p\nmoved . mtime ctime',
  ...each(['file', 'fifo', 'socket'] as const, (type) => [
    `mknod: a ${type} by an ordinary user`,
    `ann: umask 0\nann: mknod n ${type} 640\nlstat n type mode uid gid nlink size -> ${type} 640 @ann @ann 1 0`,
  ]),
  ...each(['file', 'fifo', 'socket', 'char', 'block'] as const, (type) => [
    `mknod: times of the directory with a ${type}`,
    `mark .\nmknod n ${type} 644 1 3\nmoved . mtime ctime`,
  ]),
  'mknod: no type is a file': 'mknod n none 644\nlstat n type -> file',
  'mknod: EPERM of a directory': 'mknod n dir 755 -> EPERM\nlist . ->',
  'mknod: EINVAL of a link': 'mknod n symlink 777 -> EINVAL\nlist . ->',
  'mknod: EPERM, devices are for root': `
    ann: mknod c char 644 1 3 -> EPERM
    ann: mknod b block 644 7 0 -> EPERM
    list . ->`,
  'mknod: a whiteout, the character device 0:0, is for everybody': `
    ann: umask 0
    ann: mknod w char 640 0 0
    lstat w type rdev mode uid nlink -> char 0:0 640 @ann 1
    ann: mknod b block 640 0 0 -> EPERM
    ann: unlink w
    list . ->`,
  ...each(DEVICES, ([major, minor]) => [
    `mknod: the device ${major}:${minor}`,
    `mknod c char 600 ${major} ${minor}
     mknod b block 600 ${major} ${minor}
     lstat c type rdev size -> char ${major}:${minor} 0
     lstat b type rdev size -> block ${major}:${minor} 0`,
  ]),
  'mknod: a device by a second name is the same':
    'mknod c char 600 1 3\nlink c d\nlstat d rdev nlink -> 1:3 2',
  'mknod: a regular file can be written to': 'mknod f file 644\nopen x f rdwr\nwrite x data\nget f -> data',

  'FIFO: data passes from one process to another': async (world) => {
    await world.script('mkfifo p\nchmod p 666');
    const opened = world.call('bob', 'open r p rdonly');
    await world.script('ann: open w p wronly');
    await opened;
    await world.script('ann: write w hello -> 5\nbob: read r 100 -> hello');
    const waiting = world.call('bob', 'read r 100');
    await world.script('ann: write w again -> 5');
    assert.equal(await waiting, 'again');
    await world.script('ann: close w\nbob: read r 100 -> %');
  },
  'FIFO: by any of its names': async (world) => {
    await world.script('mkfifo p\nchmod p 666\nlink p q');
    const opened = world.call('bob', 'open r p rdonly');
    await world.script('ann: open w q wronly');
    await opened;
    await world.script('ann: write w data\nrename p moved\nbob: read r 100 -> data');
  },
  'FIFO: ENXIO without a reader, and none is waited for': `
    mkfifo p
    open w p wronly,nonblock -> ENXIO
    open r p rdonly,nonblock
    open w p wronly,nonblock
    write w data -> 4
    read r 10 -> data`,
  'FIFO: EPIPE when the reader is gone': `
    mkfifo p
    open r p rdonly,nonblock
    open w p wronly
    close r
    write w data -> EPIPE`,
  'FIFO: goes on without a name': `
    mkfifo p
    open r p rdonly,nonblock
    open w p wronly
    unlink p
    write w data
    read r 10 -> data
    fstat r type nlink -> fifo 0`,
  'FIFO: rights': `
    ann: mkfifo p 600
    bob: open r p rdonly,nonblock -> EACCES
    ann: open r p rdonly,nonblock
    ann: chmod p 622
    bob: open w p wronly,nonblock`,
  'FIFO: keeps no data and no length': `
    mkfifo p
    open r p rdonly,nonblock
    open w p wronly
    write w data
    lstat p size -> 0
    lseek r 0 set -> ESPIPE`,

  'socket: bound, two processes talk': async (world) => {
    await world.script(`
      ann: socket s
      ann: umask 0
      ann: bind s name
      lstat name type mode uid nlink -> socket 777 @ann 1
      ann: listen s
      bob: socket c
      bob: connect c name
      ann: accept peer s
      bob: write c hello -> 5
      ann: read peer 100 -> hello
      ann: write peer answer -> 6
      bob: read c 100 -> answer`);
  },
  'socket: EADDRINUSE of a name that is taken':
    'socket s\ncreate f\nbind s f -> EADDRINUSE\nbind s name\nsocket t\nbind t name -> EADDRINUSE',
  'socket: ECONNREFUSED when nobody listens':
    'socket s\nbind s name\nsocket c\nconnect c name -> ECONNREFUSED\nclose s\nconnect c name -> ECONNREFUSED',
  'socket: ENOENT without a name': 'socket c\nconnect c nothing -> ENOENT',
  'socket: EACCES without the right to write': `
    ann: socket s
    ann: bind s name
    ann: listen s
    bob: socket c
    bob: connect c name -> EACCES
    ann: chmod name 722
    bob: connect c name`,
  'socket: renamed, it is found by the new name': `
    socket s
    bind s name
    listen s
    rename name other
    socket c
    connect c name -> ENOENT
    connect c other`,
  'socket: removed, it is found no more':
    'socket s\nbind s name\nlisten s\nunlink name\nsocket c\nconnect c name -> ENOENT',
  'socket: through a link': 'socket s\nbind s name\nlisten s\nsymlink name l\nsocket c\nconnect c l',
  'socket: by its second name': 'socket s\nbind s name\nlisten s\nlink name other\nsocket c\nconnect c other',
  'socket: umask counts': 'umask 077\nsocket s\nbind s name\nlstat name mode -> 700',
  'socket: datagrams': `
    ann: socket s datagram
    ann: bind s name
    ann: chmod name 777
    bob: socket c datagram
    bob: connect c name
    bob: write c hello
    ann: read s 100 -> hello`,

  ...each(
    [
      ['stat of what is not there', 'stat nothing-# size'],
      ['stat of what is there', 'stat f size'],
      ['mkdir', 'mkdir d/#'],
      ['open and creat', 'open x d/file-# creat,wronly'],
      ['readlink', 'readlink l'],
      ['list', 'list d'],
      ['chmod', 'chmod f 640'],
      ['get', 'get f'],
      ['truncate', 'truncate f #'],
    ] as const,
    ([what, call]) => [
      `signals: no EINTR of ${what}`,
      `put f data\nsymlink f l\nmkdir d\ncreate d/x\nstorm 60 ${call} -> 0`,
    ],
  ),
};
