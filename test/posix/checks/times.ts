import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';

const NS = (seconds: number, nanos: number) => String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));

export const TIMES: Checks = {
  ...each(TYPE_ROWS, ([type, make]) => [
    `utimens: both times of a ${type}, to the nanosecond`,
    `${make}
     mark n
     utimens n 1900000001.123456789 1800000002.000000001
     lstat n atime mtime -> ${NS(1_900_000_001, 123_456_789)} ${NS(1_800_000_002, 1)}
     mark n
     utimens n 3 4
     lstat n atime mtime -> 3000000000 4000000000`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `utimens: ctime of a ${type} is now`,
    `${make}\nkeep c lstat n ctime\ntick\nutimens n 1 2\nkeep d lstat n ctime\ndiffer $c $d`,
  ]),
  ...each(
    [
      [0, 0],
      [0, 1],
      [1, 999_999_999],
      [2_147_483_647, 5],
      [2_147_483_648, 5],
      [4_294_967_295, 999_999_999],
      [4_294_967_296, 0],
      [9_223_372_036, 1],
    ] as const,
    ([seconds, nanos]) => [
      `utimens: ${seconds} s ${nanos} ns`,
      `create f
       utimens f ${seconds}.${nanos} ${seconds}.${nanos}
       stat f atime mtime -> ${NS(seconds, nanos)} ${NS(seconds, nanos)}`,
    ],
  ),
  ...each(
    [
      [-1, 0],
      [-1, 1],
      [-2_147_483_648, 0],
    ] as const,
    ([seconds, nanos]) => [
      `utimens: before 1970, ${seconds} s ${nanos} ns`,
      `create f
       utimens f ${seconds}.${nanos} ${seconds}.${nanos}
       stat f atime mtime -> ${NS(seconds, nanos)} ${NS(seconds, nanos)}`,
    ],
  ),
  'utimens: EINVAL of more nanoseconds than a second has': 'create f\nutimens f 1.1000000000 1 -> EINVAL',
  'utimens: now': 'create f\nutimens f 1 1\nmark f\nutimens f now now\nmoved f atime mtime ctime',
  'utimens: now is one time': 'create f\nutimens f now now\nkeep a stat f atime\nstat f mtime ctime -> $a $a',
  'utimens: atime alone':
    'create f\nutimens f 5 6\nmark f\nutimens f now omit\nmoved f atime ctime\nutimens f 7 omit\nstat f atime mtime -> 7000000000 6000000000',
  'utimens: mtime alone':
    'create f\nutimens f 5 6\nmark f\nutimens f omit now\nmoved f mtime ctime\nutimens f omit 8\nstat f mtime -> 8000000000',
  'utimens: one now and one given':
    'create f\nutimens f 5 6\nmark f\nutimens f now 7\nstat f mtime -> 7000000000\nmark f\nutimens f 9 now\nstat f atime -> 9000000000',
  'utimens: neither is nothing at all': 'create f\nmark f\nutimens f omit omit\nmoved f',
  'utimens: neither is allowed to everybody': 'ann: create f 600\nbob: utimens f omit omit',
  'utimens: the owner may set any time':
    'ann: create f 0\nann: utimens f 1 2\nann: utimens f now now\nann: utimens f omit 3',
  'utimens: EPERM, others set a time': `
    ann: create f 666
    bob: utimens f 1 2 -> EPERM
    bob: utimens f omit 2 -> EPERM
    bob: utimens f 1 omit -> EPERM
    mate: utimens f 1 2 -> EPERM`,
  'utimens: EPERM, others set one time to now': `
    ann: create f 666
    bob: utimens f now omit -> EPERM
    bob: utimens f omit now -> EPERM
    bob: utimens f now 5 -> EPERM`,
  'utimens: others who may write set both to now': `
    ann: create f 602
    utimens f 1 1
    bob: utimens f now now
    mate: utimens f now now -> EACCES
    ann: chmod f 620
    mate: utimens f now now
    bob: utimens f now now -> EACCES`,
  'utimens: others who may read only set nothing': 'ann: create f 644\nbob: utimens f now now -> EACCES',
  'utimens: root sets times of others':
    'ann: create f 0\nutimens f 1 2\nutimens f now now\nutimens f omit 5\nstat f mtime -> 5000000000',
  'utimens: one that is refused moves nothing':
    'ann: create f 644\nmark f\nbob: utimens f 1 2 -> EPERM\nbob: utimens f now now -> EACCES\nmoved f',
  'utimens: follows links, unless told not to': `
    create f
    symlink f l
    utimens l 1 2
    stat f atime mtime -> 1000000000 2000000000
    utimens l 3 4 nofollow
    stat f atime mtime -> 1000000000 2000000000
    lstat l atime mtime -> 3000000000 4000000000`,
  'utimens: a link to nothing':
    'symlink nothing l\nutimens l 3 4 -> ENOENT\nutimens l 3 4 nofollow\nlstat l mtime -> 4000000000',
  'utimens: the directory is not touched': 'create f\nmark .\nutimens f 1 2\nmoved .',
  'futimens: by a descriptor that may only read':
    'create f\nopen x f rdonly\nfutimens x 1.5 2.6\nstat f atime mtime -> 1000000005 2000000006',
  'futimens: EPERM of others':
    'ann: create f 666\nbob: open x f rdwr\nbob: futimens x 1 2 -> EPERM\nbob: futimens x now now',
  'futimens: a time that is set stays behind a write before it': `
    create f
    open x f wronly
    write x data
    futimens x 5 6
    stat f mtime -> 6000000000
    close x
    stat f mtime size -> 6000000000 4`,
  'futimens: as cp -p and tar do, then read': `
    open x f creat,wronly
    write x data
    futimens x 5 6
    fchmod x 600
    close x
    get f -> data
    stat f mtime mode -> 6000000000 600`,
  'utimens: a write behind it moves mtime':
    'create f\nutimens f 5 6\nmark f\nopen x f wronly\nwrite x data\nclose x\nmoved f mtime ctime',

  'times: of a new file are now, and one': `
    create before
    tick
    open x f creat,wronly
    keep a fstat x atime
    fstat x mtime ctime -> $a $a
    keep b stat before ctime
    differ $a $b`,
  'times: a new file, and its directory': 'mark .\ncreate f\nmoved . mtime ctime',
  'times: open with creat of a file that is there moves nothing':
    'create f\nmark f .\nopen x f creat,wronly\nclose x\nmoved f\nmoved .',
  ...each(
    [
      ['write', 'open x f wronly\nwrite x data'],
      ['pwrite', 'open x f wronly\npwrite x data 100'],
      ['an append', 'open x f wronly,append\nwrite x data'],
      ['truncate, shorter', 'truncate f 1'],
      ['truncate, longer', 'truncate f 100'],
      ['truncate, to the same length', 'truncate f 7'],
      ['ftruncate, shorter', 'open x f wronly\nftruncate x 1'],
      ['ftruncate, longer', 'open x f wronly\nftruncate x 100'],
      ['ftruncate, to the same length', 'open x f wronly\nftruncate x 7'],
      ['open with trunc', 'open x f wronly,trunc'],
      ['a shared mapping', 'open x f rdwr\nmap x shared 4 DATA\nfsync x'],
    ] as const,
    ([what, change]) => [
      `times: mtime and ctime by ${what}`,
      `put f content\ntick\nget f -> content\nmark f .\n${change}\nmoved f mtime ctime\nmoved .`,
    ],
  ),
  'times: open with trunc of an empty file': 'create f\nmark f\nopen x f wronly,trunc\nmoved f mtime ctime',
  'times: a write of nothing moves nothing':
    'put f data\nmark f\nopen x f wronly\nwrite x % -> 0\nclose x\nmoved f',
  'times: a truncation that is refused moves nothing':
    'ann: put f data\nmark f\nbob: truncate f 0 -> EACCES\nmoved f',
  'times: looking moves nothing': `
    put f data
    mkdir d
    symlink f l
    mark f d l .
    stat f size
    access f 4
    lstat l size
    open x f rdonly
    close x
    stat d nlink
    moved f
    moved d
    moved l
    moved .`,
  'times: seen by descriptor and by name alike': `
    create f
    open x f wronly
    write x data
    keep m fstat x mtime
    stat f mtime -> $m
    close x
    stat f mtime -> $m`,
  'times: reading changes neither mtime nor ctime': `
    put f data
    keep m stat f mtime
    keep c stat f ctime
    tick
    get f -> data
    stat f mtime ctime -> $m $c`,

  'atime: the first read after a write counts': `
    put f data
    mark f
    get f -> data
    moved f atime`,
  'atime: the second read soon after does not (relatime)': `
    put f data
    tick
    get f -> data
    mark f
    get f -> data
    get f -> data
    moved f`,
  'atime: a read after a change counts again': `
    put f data
    tick
    get f -> data
    tick
    chmod f 600
    mark f
    get f -> data
    moved f atime`,
  'atime: one that is a day old is brought up to date': `
    put f data
    utimens f 1000000000 1000000000
    mark f
    get f -> data
    moved f atime`,
  'atime: open with noatime leaves it': `
    put f data
    utimens f 1 2
    mark f
    open x f rdonly,noatime
    read x 10 -> data
    moved f`,
  'atime: noatime is for the owner': `
    ann: put f data
    bob: open x f rdonly,noatime -> EPERM
    ann: open x f rdonly,noatime`,
  'atime: a read of nothing at the end counts not': `
    create f
    utimens f 2 1
    mark f
    open x f rdonly
    close x
    moved f`,
  'atime: reading a directory': 'mkdir d\ncreate d/f\nmark d\nlist d -> f\nmoved d atime',
  'atime: reading a link': 'symlink f l\nutimens l 1 2 nofollow\nmark l\nreadlink l -> f\nmoved l atime',
  'atime: going through a link':
    'create f\nsymlink f l\nutimens l 1 2 nofollow\nmark l\nstat l size\nmoved l atime',
  'atime: a mapping that is read': 'put f data\nmark f\nopen x f rdonly\nmap x read 4 -> data\nmoved f atime',
  'atime: pread': 'put f data\nmark f\nopen x f rdonly\npread x 4 0 -> data\nmoved f atime',
  'atime: of others, who may only read': 'ann: put f data\nmark f\nbob: get f -> data\nmoved f atime',
  'atime: neither ctime nor mtime with it': `
    put f data
    keep c stat f ctime
    tick
    open x f rdonly
    read x 10 -> data
    fstat x ctime -> $c`,
  'atime: seen by descriptor and by name alike': `
    put f data
    tick
    open x f rdonly
    read x 10 -> data
    keep a fstat x atime
    stat f atime -> $a
    close x
    stat f atime -> $a`,

  ...each(TYPE_ROWS, ([type, make]) => [
    `btime: of a ${type}, when it was made`,
    `create before
     tick
     ${make}
     keep b lstat n btime
     lstat n mtime -> $b
     keep a lstat before btime
     differ $a $b
     differ $b none
     tick
     chmod n 600
     chown n @ann @ann
     rename n m
     lstat m btime -> $b`,
  ]),
  'btime: nobody sets it': `
    create f
    keep b stat f btime
    utimens f 1 2
    truncate f 10
    stat f btime -> $b`,
  'btime: of a link': 'symlink f l\nkeep b lstat l btime\nlstat l ctime -> $b',
};
