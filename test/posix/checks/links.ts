import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';
import { long } from './paths.ts';

const LINKABLE = TYPE_ROWS.filter(([type]) => type !== 'dir');

export const LINKS: Checks = {
  ...each(LINKABLE, ([type, make]) => [
    `link: two names of one ${type}`,
    `${make}
     link n m
     keep i lstat n ino
     lstat m ino type nlink -> $i ${type} 2
     lstat n nlink -> 2
     chmod m 601
     lstat n mode -> 601
     unlink n
     lstat m ino nlink -> $i 1`,
  ]),
  ...each(LINKABLE, ([type, make]) => [
    `link: times of a ${type} and the directory`,
    `${make}\nmkdir d\nmark n d .\nlink n d/m\nmoved n ctime\nmoved d mtime ctime\nmoved .`,
  ]),
  'link: EPERM of a directory': 'mkdir d\nlink d e -> EPERM\nann: link d e -> EPERM',
  'link: EEXIST': 'create a\ncreate b\nmkdir d\nlink a b -> EEXIST\nlink a d -> EEXIST\nlink a a -> EEXIST',
  'link: one that is refused moves nothing':
    'create a\ncreate b\nmark a b .\nlink a b -> EEXIST\nmoved a\nmoved b\nmoved .',
  'link: EXDEV, from another file system': 'link /proc/version v -> EXDEV\nlist . ->',
  'link: of a link, not of what it leads to': `
    create f
    symlink f l
    link l m
    lstat m type nlink -> symlink 2
    lstat f nlink -> 1
    readlink m -> f`,
  'link: of what a link leads to, when asked': `
    create f
    symlink f l
    linkfollow l m
    lstat m type nlink -> file 2`,
  'link: contents are one': `
    put f one
    link f g
    open x g wronly,append
    write x two
    get f -> onetwo
    truncate f 2
    get g -> on`,
  'link: across directories': `
    mkdir d
    mkdir e
    put d/f data
    link d/f e/g
    unlink d/f
    rmdir d
    get e/g -> data`,
  'link: a file without a name gets none': `
    create f
    open x f rdonly
    unlink f
    link f g -> ENOENT`,
  'link: as another, into his own directory': `
    ann: create f 666
    bob: mkdir d
    bob: link f d/f
    lstat f nlink uid -> 2 @ann`,
  'link: 200 of one file': async (world) => {
    await world.script('create f\nmkdir d');
    for (let at = 1; at < 200; at += 1) await world.call('root', `link f d/${at}`);
    await world.script('lstat f nlink -> 200');
    for (let at = 1; at < 200; at += 2) await world.call('root', `unlink d/${at}`);
    await world.script('lstat f nlink -> 100\nunlink f\nlstat d/2 nlink -> 99');
  },

  'symlink: holds its text': `
    symlink some/where/else l
    readlink l -> some/where/else
    lstat l type mode size nlink -> symlink 777 15 1
    stat l type -> ENOENT`,
  ...each([1, 59, 60, 255, 256, 1023, 4094, 4095], (length) => [
    `symlink: of ${length} bytes`,
    `symlink ${'a/'.repeat(2048).slice(0, length)} l
     readlink l -> ${'a/'.repeat(2048).slice(0, length)}
     lstat l size -> ${length}`,
  ]),
  'symlink: ENAMETOOLONG of 4096 bytes': `symlink ${'a/'.repeat(2048)} l -> ENAMETOOLONG\nlist . ->`,
  'symlink: to a name of 256 bytes can be made, and not followed': `
    symlink ${long(256)} l
    readlink l -> ${long(256)}
    stat l type -> ENAMETOOLONG`,
  'symlink: ENOENT of nothing': 'symlink % l -> ENOENT',
  'symlink: any bytes': 'symlink %FF%01%80/%0A l\nreadlink l -> %FF%01%80/%0A',
  'symlink: belongs to who makes it': 'ann: symlink x l\nlstat l uid gid -> @ann @ann',
  'symlink: times': 'mark .\nsymlink x l\nmoved . mtime ctime',
  'symlink: EEXIST, also of itself': 'symlink a l\nsymlink b l -> EEXIST\nreadlink l -> a',
  'symlink: to a directory': 'mkdir d\ncreate d/f\nsymlink d l\nlist l -> f\nunlink l/f\nlist d ->',
  'symlink: up and down': 'mkdir a\nmkdir b\nput b/f data\nsymlink ../b/f a/l\nget a/l -> data',
  'symlink: removed, what it leads to stays': 'put f data\nsymlink f l\nunlink l\nget f -> data',
  'symlink: renamed, it is the link that moves':
    'create f\nsymlink f l\nrename l m\nreadlink m -> f\nlist . -> f m',
  'symlink: a file is made through it': 'symlink f l\nopen x l creat,wronly\nlist . -> f l',
  'symlink: none is made through it when it has to be new': `
    symlink f l
    open x l creat,excl,wronly -> EEXIST
    mkdir l -> EEXIST
    list . -> l`,
  'symlink: anybody may read it': `
    mkdir d 711
    symlink text d/l
    ann: readlink d/l -> text`,
  'readlink: EINVAL of what is no link': `
    create f
    mkdir d
    mkfifo p
    readlink f -> EINVAL
    readlink d -> EINVAL
    readlink p -> EINVAL`,

  ...each(LINKABLE, ([type, make]) => [
    `unlink: a ${type}`,
    `${make}\nmark .\nunlink n\nmoved . mtime ctime\nlstat n type -> ENOENT\nlist . ->`,
  ]),
  'unlink: EISDIR of a directory': 'mkdir d\nunlink d -> EISDIR\nann: unlink d -> EISDIR\nlist . -> d',
  'unlink: one name of two': 'create f\nlink f g\nmark g\nunlink f\nmoved g ctime\nlstat g nlink -> 1',
  'unlink: one that is refused moves nothing': `
    ann: mkdir d 755
    ann: create d/f
    mark d d/f
    bob: unlink d/f -> EACCES
    moved d
    moved d/f`,
  'unlink: needs no right to the file': 'ann: create f 0\nbob: unlink f',
  'unlink: not through a link': 'create f\nsymlink f l\nunlink l\nlist . -> f',
  'unlink: twice': 'create f\nunlink f\nunlink f -> ENOENT',

  'an unlinked file: goes on, for reading and writing': `
    put f data
    open x f rdwr
    unlink f
    fstat x nlink size -> 0 4
    pread x 10 0 -> data
    pwrite x MORE 4 -> 4
    pread x 10 0 -> dataMORE
    ftruncate x 6
    fstat x size -> 6
    fsync x
    list . ->`,
  'an unlinked file: is another than the next of its name': `
    put f old
    open x f rdwr
    unlink f
    put f new
    pread x 10 0 -> old
    pwrite x OLD 0
    get f -> new
    pread x 10 0 -> OLD`,
  'an unlinked file: two descriptors, one closed': `
    put f data
    open x f rdwr
    open y f rdonly
    unlink f
    close x
    pread y 10 0 -> data
    fstat y nlink -> 0`,
  'an unlinked file: of another user, whose way to it is closed': `
    ann: mkdir d 755
    ann: put d/f data
    bob: open x d/f rdonly
    ann: unlink d/f
    ann: chmod d 700
    bob: pread x 10 0 -> data
    bob: fstat x nlink -> 0`,
  'an unlinked file: ctime moves, mtime does not': async (world) => {
    await world.script('put f data\nopen x f rdonly');
    const before = await world.call('root', 'fstat x mtime');
    const changed = await world.call('root', 'fstat x ctime');
    await world.script(
      `tick\nunlink f\nfstat x mtime -> ${before}\nkeep c fstat x ctime\ndiffer $c ${changed}`,
    );
  },
  'an unlinked file: its attributes can be changed': `
    create f
    open x f rdwr
    unlink f
    fchmod x 601
    fchown x @ann @bob
    futimens x 1.5 2.7
    fstat x mode uid gid atime mtime -> 601 @ann @bob 1000000005 2000000007`,
  'an unlinked file: in a directory that is removed as well': `
    mkdir d
    put d/f data
    open x d/f rdwr
    unlink d/f
    rmdir d
    pread x 10 0 -> data
    pwrite x more 4 -> 4`,
  'an unlinked file: mapped': `
    put f data
    open x f rdwr
    unlink f
    map x shared 4 DATA -> data
    pread x 10 0 -> DATA`,

  'sticky: others may not remove or rename': `
    mkdir d
    chmod d 1777
    ann: create d/f 666
    ann: mkdir d/e 777
    bob: unlink d/f -> EPERM
    bob: rmdir d/e -> EPERM
    bob: rename d/f d/g -> EPERM
    bob: rename d/e d/g -> EPERM
    bob: rename d/f f -> EPERM
    list d -> e f`,
  'sticky: others may not replace': `
    mkdir d
    chmod d 1777
    ann: create d/f 666
    ann: mkdir d/e 777
    bob: create f
    bob: mkdir e
    bob: rename f d/f -> EPERM
    bob: rename e d/e -> EPERM
    bob: create d/mine
    bob: rename d/mine d/f -> EPERM`,
  'sticky: others may not exchange': `
    mkdir d
    chmod d 1777
    ann: create d/f 666
    bob: create d/mine
    bob: rename2 d/mine d/f exchange -> EPERM
    bob: rename2 d/f d/mine exchange -> EPERM`,
  'sticky: the owner of an entry may': `
    mkdir d
    chmod d 1777
    ann: create d/f
    ann: mkdir d/e
    ann: rename d/f d/g
    ann: unlink d/g
    ann: rmdir d/e`,
  'sticky: the owner of the directory may': `
    bob: mkdir d
    bob: chmod d 1777
    ann: create d/f
    ann: mkdir d/e
    bob: rename d/f d/g
    bob: unlink d/g
    bob: rmdir d/e`,
  'sticky: root may': 'mkdir d\nchmod d 1777\nchown d @bob -\nann: create d/f\nrename d/f d/g\nunlink d/g',
  'sticky: the group does not help': `
    mkdir d
    chown d 0 @ann
    chmod d 1770
    ann: create d/f 660
    mate: unlink d/f -> EPERM
    mate: create d/n
    mate: unlink d/n`,
  'sticky: making is free, also links to what is there': `
    mkdir d
    chmod d 1777
    ann: create d/f 666
    bob: link d/f d/g
    bob: unlink d/g -> EPERM
    bob: mkdir d/e
    bob: rmdir d/e`,
  'sticky: nothing once the bit is gone': `
    mkdir d
    chmod d 1777
    ann: create d/f
    bob: unlink d/f -> EPERM
    chmod d 777
    bob: unlink d/f`,
  'sticky: EACCES where the directory cannot be written to': `
    ann: mkdir d 755
    ann: chmod d 1755
    ann: create d/f
    bob: unlink d/f -> EACCES`,
  'sticky: another directory on the way out': `
    mkdir d
    mkdir e
    chmod d 777
    chmod e 1777
    ann: create d/f
    bob: rename d/f e/f
    lstat e/f uid -> @ann
    bob: rename e/f d/f -> EPERM`,
};
