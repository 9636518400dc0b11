import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';

const NOT_DIRECTORIES = TYPE_ROWS.filter(([type]) => type !== 'dir');

export const RENAME: Checks = {
  ...each(TYPE_ROWS, ([type, make]) => [
    `rename: a ${type} keeps all but its name`,
    `${make}
     chmod n 641
     chown n @ann @bob
     utimens n 5.000000001 6.000000002
     keep i lstat n ino nlink mode uid gid size rdev atime mtime btime
     rename n m
     keep j lstat m ino nlink mode uid gid size rdev atime mtime btime
     equal $i $j
     lstat n type -> ENOENT
     list . -> m`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `rename: times of both directories with a ${type}`,
    `${make}
     mkdir d
     mark . d n
     rename n d/n
     moved . mtime ctime
     moved d mtime ctime
     lstat d/n type -> ${type}`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `rename: ctime of a ${type} itself`,
    `${make}
     keep c lstat n ctime
     tick
     rename n m
     keep now lstat m ctime
     differ $c $now`,
  ]),
  ...each(NOT_DIRECTORIES, ([type, make]) => [
    `rename: a ${type} replaces a file`,
    `${make}
     create m
     link m other
     keep i lstat n ino
     tick
     mark other
     rename n m
     lstat m ino type -> $i ${type}
     lstat n type -> ENOENT
     lstat other nlink -> 1
     moved other ctime`,
  ]),
  ...each(NOT_DIRECTORIES, ([type, make]) => [
    `rename: EISDIR, a ${type} onto a directory`,
    `${make}\nmkdir d\nmkdir d/e\nrename n d -> EISDIR\nrename n d/e -> EISDIR\nlist . -> d n`,
  ]),
  ...each(NOT_DIRECTORIES, ([type, make]) => [
    `rename: ENOTDIR, a directory onto a ${type}`,
    `${make}\nmkdir d\nrename d n -> ENOTDIR\nlist . -> d n`,
  ]),
  'rename: a directory replaces an empty one': `
    mkdir d
    create d/f
    mkdir e
    keep i lstat d ino
    rename d e
    lstat e ino nlink -> $i 2
    list . -> e
    list e -> f`,
  'rename: ENOTEMPTY, a directory onto one with entries': `
    mkdir d
    mkdir e
    create e/f
    rename d e -> ENOTEMPTY|EEXIST
    list . -> d e`,
  'rename: links of the parents when a directory moves': `
    mkdir a
    mkdir b
    mkdir a/d
    mkdir a/d/e
    lstat a nlink -> 3
    rename a/d b/d
    lstat a nlink -> 2
    lstat b nlink -> 3
    stat b/d/.. nlink -> 3
    keep b lstat b ino
    stat b/d/.. ino -> $b
    keep d lstat b/d ino
    stat b/d/e/.. ino -> $d`,
  'rename: links of a parent when a directory is replaced': `
    mkdir a
    mkdir a/d
    mkdir a/e
    lstat a nlink -> 4
    rename a/d a/e
    lstat a nlink -> 3`,
  'rename: EINVAL, a directory under itself': `
    mkdir d
    mkdir d/e
    mkdir d/e/f
    rename d d/x -> EINVAL
    rename d d/e -> EINVAL
    rename d d/e/f/x -> EINVAL
    rename d/e d/e/f/x -> EINVAL
    list d -> e`,
  'rename: ENOTEMPTY, a directory onto one that it lies in': `
    mkdir d
    mkdir d/e
    mkdir d/e/f
    rename d/e d -> ENOTEMPTY
    rename d/e/f d -> ENOTEMPTY`,
  'rename: a name onto itself': 'put f data\nmark f .\nrename f f\nmoved f\nmoved .\nget f -> data',
  'rename: a directory onto itself': 'mkdir d\nrename d d\nlist . -> d',
  'rename: two names of one file both stay': `
    create f
    link f g
    mark f .
    rename f g
    moved f
    moved .
    list . -> f g
    lstat f nlink -> 2`,
  'rename: two names of one file in two directories both stay': `
    mkdir d
    create f
    link f d/f
    rename f d/f
    lstat f nlink -> 2
    list d -> f`,
  'rename: ENOENT':
    'create f\nrename nothing g -> ENOENT\nrename f nothing/g -> ENOENT\nrename nothing f -> ENOENT',
  'rename: EXDEV, to and from another file system': `
    create f
    mkdir d
    rename f /proc/f -> EXDEV
    rename d /proc/d -> EXDEV
    rename /proc/version v -> EXDEV
    list . -> d f`,
  'rename: one that is refused moves nothing': `
    create f
    mkdir d
    mark f d .
    rename f d -> EISDIR
    moved f
    moved d
    moved .`,
  'rename: the replaced file stays with who has it open': `
    put a old
    put b new
    open x a rdwr
    rename b a
    pread x 10 0 -> old
    fstat x nlink -> 0
    get a -> new`,
  'rename: the moved file stays with who has it open': `
    put a data
    mkdir d
    open x a rdwr
    rename a d/b
    pwrite x more 4 -> 4
    get d/b -> datamore`,
  'rename: needs to write to both directories': `
    ann: mkdir a
    ann: mkdir b
    ann: chmod b 777
    ann: create a/f 666
    ann: create b/g 666
    bob: rename a/f b/f -> EACCES
    bob: rename b/g a/g -> EACCES
    ann: chmod a 777
    bob: rename a/f b/f
    bob: rename b/g a/g`,
  'rename: a directory that gets another parent has to be writable': `
    ann: mkdir d 755
    bob: mkdir e
    bob: rename d e/d -> EACCES
    ann: chmod d 777
    bob: rename d e/d`,
  'rename: a directory that keeps its parent need not be writable':
    'ann: mkdir d 555\nbob: rename d e\nlist . -> e',
  'rename: a file need not be writable': 'ann: create f 0\nann: mkdir d\nann: chmod d 777\nbob: rename f d/f',
  'rename: out of a directory that the caller may not read': `
    ann: mkdir d
    ann: chmod d 733
    ann: create d/f
    bob: rename d/f f`,
  'rename: a long way': `
    mkdir a
    mkdir a/b
    mkdir a/b/c
    put a/b/c/f data
    rename a/b/c/f f
    rename f a/g
    get a/g -> data`,
  'rename: of a link': 'symlink f l\ncreate g\nrename l g\nlstat g type -> symlink',
  'rename: through a link to a directory':
    'mkdir d\nsymlink d l\ncreate f\nrename f l/f\nlist d -> f\nrename l/f g\nlist d ->',
  'rename: onto a link replaces the link':
    'put f data\nsymlink g l\ncreate g\nrename f l\nlstat l type -> file\nlstat g size -> 0',

  ...each(TYPE_ROWS, ([type, make]) => [
    `rename2: noreplace, a ${type}`,
    `${make}
     create m
     mkdir d
     rename2 n m noreplace -> EEXIST
     rename2 n d noreplace -> EEXIST
     rename2 n n noreplace -> EEXIST
     rename2 n free noreplace
     lstat free type -> ${type}
     list . -> d free m`,
  ]),
  'rename2: noreplace goes by any entry, also a link to nothing': `
    create f
    symlink nothing l
    rename2 f l noreplace -> EEXIST`,
  ...each(TYPE_ROWS, ([type, make]) => [
    `rename2: exchange, a ${type} with a directory that is not empty`,
    `${make}
     mkdir a
     mkdir a/d
     create a/d/f
     keep i lstat n ino
     keep j lstat a/d ino
     rename2 n a/d exchange
     lstat a/d ino type -> $i ${type}
     lstat n ino type -> $j dir
     list n -> f
     keep top stat . ino
     stat n/.. ino -> $top`,
  ]),
  'rename2: exchange counts the links of parents': `
    mkdir a
    mkdir b
    mkdir a/d
    create b/f
    rename2 a/d b/f exchange
    lstat a nlink -> 2
    lstat b nlink -> 3`,
  'rename2: exchange times': `
    mkdir a
    mkdir b
    create a/f
    create b/g
    link a/f f
    link b/g g
    mark a b f g
    rename2 a/f b/g exchange
    moved a mtime ctime
    moved b mtime ctime
    moved f ctime
    moved g ctime`,
  'rename2: exchange of one name with itself': 'create f\nrename2 f f exchange\nlist . -> f',
  'rename2: exchange with nothing':
    'create f\nrename2 f g exchange -> ENOENT\nrename2 g f exchange -> ENOENT',
  'rename2: exchange under itself': `
    mkdir d
    mkdir d/e
    create d/e/f
    rename2 d d/e exchange -> EINVAL
    rename2 d/e d exchange -> EINVAL
    rename2 d d/e/f exchange -> EINVAL`,
  'rename2: exchange in one directory':
    'put a one\nput b two\nrename2 a b exchange\nget a -> two\nget b -> one',
  'rename2: exchange needs to write to both directories': `
    ann: mkdir a
    ann: mkdir b
    ann: chmod b 777
    ann: create a/f
    ann: create b/g
    bob: rename2 a/f b/g exchange -> EACCES
    bob: rename2 b/g a/f exchange -> EACCES`,
  'rename2: either not replace or exchange': 'create f\ncreate g\nrename2 f g noreplace,exchange -> EINVAL',

  ...each(TYPE_ROWS, ([type, make]) => [
    `rename2: whiteout, a ${type}`,
    `ann: mkdir d
     mkdir e
     chdir d
     ${make}
     chdir ..
     keep i lstat d/n ino
     mark d e
     rename2 d/n e/m whiteout
     moved d mtime ctime
     moved e mtime ctime
     lstat e/m type ino -> ${type} $i
     lstat d/n type rdev mode uid nlink size -> char 0:0 0 @root 1 0
     lstat d nlink -> 2
     list d -> n
     list e -> m
     unlink d/n
     list d ->`,
  ]),
  'rename2: whiteout, in one directory': `
    put f data
    put g old
    rename2 f g whiteout
    get g -> data
    lstat f type rdev -> char 0:0
    rename2 g f whiteout
    get f -> data
    lstat g type rdev -> char 0:0
    list . -> f g`,
  'rename2: whiteout, which belongs to who renames': `
    ann: mkdir d
    create d/f
    ann: rename2 d/f d/g whiteout
    lstat d/f type uid gid mode -> char @ann @ann 0
    lstat d/g uid -> @root
    bob: rename2 d/g d/h whiteout -> EACCES
    list d -> f g`,
  'rename2: whiteout, in a new directory that others look at': `
    mkdir d
    create d/f
    lstat d/g -> ENOENT
    rename2 d/f d/g whiteout
    bob: lstat d/f type -> char
    rename d/g d/f
    lstat d/f type -> file
    list d -> f`,
  'rename2: whiteout, and nothing is replaced': `
    create f
    create g
    rename2 f g whiteout,noreplace -> EEXIST
    rename2 f h whiteout,noreplace
    lstat f type -> char
    list . -> f g h`,
  'rename2: either whiteout or exchange': 'create f\ncreate g\nrename2 f g whiteout,exchange -> EINVAL',
  'rename2: whiteout of one name with itself, or of two of one file': `
    create f
    link f g
    rename2 f f whiteout
    rename2 f g whiteout
    lstat f type nlink -> file 2
    lstat g type nlink -> file 2`,
};
