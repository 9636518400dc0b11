import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';

export const CHOWN: Checks = {
  ...each(TYPE_ROWS, ([type, make]) => [
    `chown: root gives a ${type} away`,
    `${make}
     chown n @ann @bob
     lstat n uid gid -> @ann @bob
     chown n @bob -
     lstat n uid gid -> @bob @bob
     chown n - @ann
     lstat n uid gid -> @bob @ann
     chown n - -
     lstat n uid gid -> @bob @ann
     chown n 0 0
     lstat n uid gid -> 0 0`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `chown: ctime of a ${type}, and nothing else`,
    `${make}\nmark n .\nchown n @ann @ann\nmoved n ctime\nmoved .`,
  ]),
  ...each(TYPE_ROWS, ([type, make]) => [
    `chown: the owner gives a ${type} to a group of his`,
    `${make}
     chown n @mate @mate
     mate: chown n - @ann
     lstat n uid gid -> @mate @ann
     mate: chown n @mate @mate
     lstat n uid gid -> @mate @mate
     mate: chown n - @bob -> EPERM
     mate: chown n @ann - -> EPERM
     bob: chown n - @bob -> EPERM
     bob: chown n @bob @bob -> EPERM
     lstat n uid gid -> @mate @mate`,
  ]),
  'chown: nobody takes what is not his': `
    create f 777
    ann: chown f @ann - -> EPERM
    ann: chown f - @ann -> EPERM
    ann: chown f 0 0 -> EPERM
    lstat f uid gid -> 0 0`,
  'chown: a member of the group is no owner': `
    ann: create f 777
    mate: chown f - @mate -> EPERM
    mate: chown f - @ann -> EPERM`,
  'chown: the owner says what is so already': `
    ann: create f
    ann: chown f @ann @ann
    ann: chown f @ann -
    ann: chown f - @ann`,
  'chown: changing nothing is allowed to everybody, and a change': `
    ann: create f
    ann: mkdir d
    mark f
    mark d
    bob: chown f - -
    bob: chown d - -
    moved f ctime
    moved d ctime`,
  'chown: changing nothing by number is not': `
    ann: create f
    bob: chown f @ann @ann -> EPERM`,
  'chown: the owner keeps a group that he is not in': `
    create f
    chown f @ann @bob
    ann: chown f @ann @bob
    lstat f gid -> @bob`,
  'chown: one that is refused moves nothing': 'ann: create f\nmark f\nbob: chown f @bob - -> EPERM\nmoved f',
  'chown: follows links, lchown does not': `
    create f
    symlink f l
    chown l @ann @ann
    stat f uid gid -> @ann @ann
    lstat l uid gid -> 0 0
    lchown l @bob @bob
    stat f uid gid -> @ann @ann
    lstat l uid gid -> @bob @bob`,
  'lchown: ctime of the link': 'create f\nsymlink f l\nmark f l\nlchown l @ann @ann\nmoved l ctime\nmoved f',
  'lchown: the owner of a link': `
    ann: symlink nothing l
    ann: lchown l - @ann
    mate: lchown l - @mate -> EPERM
    bob: lchown l @bob - -> EPERM`,
  'chown: a link to nothing can be given away itself':
    'symlink nothing l\nlchown l @ann -\nlstat l uid -> @ann',
  'fchown: by a descriptor': `
    create f
    open x f rdonly
    fchown x @ann @bob
    fstat x uid gid -> @ann @bob
    open y f path
    fchown y 0 0 -> EBADF`,
  'fchown: of a file without a name': `
    create f
    open x f rdonly
    unlink f
    fchown x @ann @ann
    fstat x uid gid -> @ann @ann`,
  'chown: rights follow the owner': `
    ann: create f 600
    bob: open x f rdonly -> EACCES
    chown f @bob @bob
    bob: open x f rdonly
    ann: open x f rdonly -> EACCES`,
  'chown: rights follow the group': `
    create f 640
    mate: open x f rdonly -> EACCES
    chown f - @ann
    mate: open x f rdonly
    mate: open x f wronly -> EACCES
    bob: open x f rdonly -> EACCES`,
  'chown: large numbers': 'create f\nchown f 4294967294 4294967293\nlstat f uid gid -> 4294967294 4294967293',

  'set-id bits: cleared by chown of the owner': `
    ann: create f
    ann: chmod f 6755
    ann: chown f - @ann
    lstat f mode -> 755`,
  'set-id bits: cleared by chown to another group': `
    mate: create f
    mate: chmod f 6771
    mate: chown f - @ann
    lstat f mode -> 771`,
  'set-id bits: cleared by chown of root': 'create f\nchmod f 6755\nchown f @ann @ann\nlstat f mode -> 755',
  'set-id bits: cleared by chown of root to the same owner': `
    ann: create f
    chmod f 6711
    chown f @ann -
    lstat f mode -> 711`,
  'set-id bits: cleared by a chown that names nobody':
    'create f\nchmod f 6755\nchown f - -\nlstat f mode -> 755',
  'set-id bits: a chown that names nobody is refused to others, who may write': `
    ann: create f
    ann: chmod f 6777
    bob: open x f rdonly
    bob: chown f - - -> EPERM
    bob: fchown x - - -> EPERM
    lstat f mode -> 6777
    bob: open y f wronly
    bob: write y data -> 4
    lstat f mode -> 777`,
  'set-id bits: cleared by fchown': `
    create f
    open x f rdonly
    fchmod x 6755
    fchown x @ann @ann
    fstat x mode -> 755`,
  'set-id bits: setgid without group execution stays when root gives a file away': `
    create f
    chmod f 6745
    chown f @ann @ann
    lstat f mode -> 2745`,
  'set-id bits: setgid without group execution stays with the owner who is in the group': `
    ann: create f
    ann: chmod f 2744
    ann: chown f @ann @ann
    lstat f mode -> 2744`,
  'set-id bits: a directory keeps them': `
    mkdir d
    chmod d 6775
    chown d @ann @ann
    lstat d mode -> 6775
    ann: chown d - @ann
    lstat d mode -> 6775`,
  'set-id bits: a chown that names nobody leaves them to a directory, and is allowed to others': `
    mkdir d
    chmod d 6755
    mark d
    bob: chown d - -
    lstat d mode -> 6755
    moved d ctime`,
  'set-id bits: a FIFO loses them': 'mkfifo p\nchmod p 6755\nchown p @ann @ann\nlstat p mode -> 755',
  'set-id bits: a chown that is refused clears nothing': `
    ann: create f
    ann: chmod f 6755
    bob: chown f @bob - -> EPERM
    lstat f mode -> 6755`,
};
