import { type Checks, each } from '../checks.ts';

const CLASSES = [
  { person: 'ann', shift: 6, what: 'the owner' },
  { person: 'mate', shift: 3, what: 'a member of the group' },
  { person: 'bob', shift: 0, what: 'others' },
] as const;
const ROWS = CLASSES.flatMap((row) => [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({ ...row, bits })));
/** All bits but these of that class: who is in one class has nothing of the others. */
const modeOf = (bits: number, shift: number) => ((0o777 & ~(7 << shift)) | (bits << shift)).toString(8);
const verdict = (granted: boolean) => (granted ? '' : ' -> EACCES');

export const ACCESS: Checks = {
  ...each(ROWS, ({ person, shift, what, bits }) => [
    `access: a file that gives ${what} ${bits}`,
    `ann: create f ${modeOf(bits, shift)}
     ${person}: access f 4${verdict((bits & 4) !== 0)}
     ${person}: access f 2${verdict((bits & 2) !== 0)}
     ${person}: access f 1${verdict((bits & 1) !== 0)}
     ${person}: access f 7${verdict(bits === 7)}
     ${person}: access f 0
     ${person}: open x f rdonly${verdict((bits & 4) !== 0)}
     ${person}: open x f wronly${verdict((bits & 2) !== 0)}
     ${person}: open x f rdwr${verdict((bits & 6) === 6)}
     ${person}: truncate f 0${verdict((bits & 2) !== 0)}
     ${person}: reset .
     ${person}: exec ./f -> ${(bits & 1) !== 0 ? 'ENOEXEC' : 'EACCES'}`,
  ]),
  ...each(ROWS, ({ person, shift, what, bits }) => [
    `access: a directory that gives ${what} ${bits}`,
    `ann: mkdir d
     ann: create d/f 666
     ann: chmod d ${modeOf(bits, shift)}
     ${person}: list d${verdict((bits & 4) !== 0)}
     ${person}: stat d/f size${verdict((bits & 1) !== 0)}
     ${person}: access d 7${verdict(bits === 7)}
     ${person}: chdir d${verdict((bits & 1) !== 0)}`,
  ]),
  ...each(ROWS, ({ person, shift, what, bits }) => [
    `access: entries of a directory that gives ${what} ${bits}`,
    `ann: mkdir d
     ann: create d/f 666
     ann: mkdir d/e
     ann: chmod d ${modeOf(bits, shift)}
     ${person}: create d/n${verdict((bits & 3) === 3)}
     ${person}: mkdir d/m${verdict((bits & 3) === 3)}
     ${person}: unlink d/f${verdict((bits & 3) === 3)}
     ${person}: rmdir d/e${verdict((bits & 3) === 3)}
     stat d mode -> ${modeOf(bits, shift)}`,
  ]),
  ...each([0, 0o111, 0o001, 0o444] as const, (mode) => [
    `access: root of a file of mode ${mode.toString(8)}`,
    `ann: create f ${mode.toString(8)}
     access f 6
     access f 1${verdict((mode & 0o111) !== 0)}
     open x f rdwr
     truncate f 0`,
  ]),
  'access: root of a directory of mode 0': `
    ann: mkdir d
    ann: create d/f 0
    ann: chmod d 0
    access d 7
    list d -> f
    create d/n
    unlink d/f`,
  'access: a link has no mode of its own': `
    create f 600
    symlink f l
    ann: access l 4 -> EACCES
    chmod f 644
    ann: access l 4`,
  'access: ENOENT goes before rights that are not asked': 'mkdir d 755\nann: access d/nothing 7 -> ENOENT',
  'access: rights that are given count at once': `
    ann: create f 600
    bob: access f 4 -> EACCES
    ann: chmod f 604
    bob: access f 4
    ann: chmod f 600
    bob: access f 4 -> EACCES`,
  'access: a way that is closed': `
    ann: mkdir a 755
    ann: mkdir a/b 755
    ann: create a/b/f 644
    bob: stat a/b/f mode -> 644
    ann: chmod a 700
    bob: stat a/b/f mode -> EACCES
    bob: open x a/b/f rdonly -> EACCES`,
  'access: whoever is in a directory works on when the way to it is closed': `
    ann: mkdir a 755
    ann: mkdir a/b 777
    ann: chmod a/b 777
    bob: chdir a/b
    ann: chmod a 700
    bob: create f
    bob: list . -> f
    bob: stat .. mode -> 700
    bob: list .. -> EACCES
    bob: unlink f`,
  'access: a program that may not be read runs': `
    put f #!/bin/true
    chmod f 111
    ann: open x f rdonly -> EACCES
    ann: access f 1`,
  'umask: takes bits from all that is made': `
    umask 027
    open x f creat,wronly 666
    mkdir d 777
    mkfifo p 666
    mknod s socket 777
    mknod c char 666 1 3
    lstat f mode -> 640
    lstat d mode -> 750
    lstat p mode -> 640
    lstat s mode -> 750
    lstat c mode -> 640`,
  'umask: leaves sticky and set-id bits': `
    umask 777
    open x f creat,wronly 6777
    mkdir d 1777
    lstat f mode -> 6000
    lstat d mode -> 1000`,
  'umask: nothing of chmod': 'umask 077\ncreate f\nchmod f 666\nlstat f mode -> 666',
  'umask: nothing of links': 'umask 077\nsymlink f l\nlstat l mode -> 777',
  'umask: each process has its own': `
    ann: umask 0
    bob: umask 077
    ann: open x a creat,wronly 666
    bob: open x b creat,wronly 666
    lstat a mode -> 666
    lstat b mode -> 600`,
  'umask: 0 gives what is asked': `
    umask 0
    open x f creat,wronly 7777
    mkdir d 1777
    lstat f mode -> 7777
    lstat d mode -> 1777`,
};
