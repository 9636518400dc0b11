import { type Checks, each } from '../checks.ts';

/** What every call that takes a path says of paths that lead nowhere. `{}` is the path. */

export const long = (length: number): string => 'n'.repeat(length);
/** A path of so many bytes that ends with `last`, by way of the directory itself. */
export const around = (length: number, last: string): string =>
  './'.repeat(Math.floor((length - last.length) / 2)) +
  ((length - last.length) % 2 === 0 ? last : `/${last}`);

/** Make an entry. */
const MAKERS = [
  'open x {} creat,wronly',
  'open x {} creat,excl,wronly',
  'mkdir {}',
  'mkfifo {}',
  'mknod {} socket 644',
  'mknod {} file 644',
  'link f {}',
  'symlink f {}',
  'rename f {}',
  'rename2 f {} noreplace',
] as const;
/** Follow a symbolic link to what they work on. */
const FOLLOWERS = [
  'open x {} rdonly',
  'open x {} wronly',
  'open x {} rdonly,directory',
  'chmod {} 644',
  'chown {} - -',
  'truncate {} 0',
  'utimens {} now now',
  'stat {} size',
  'access {} 0',
  'access {} 4',
  'statfs {}',
  'chdir {}',
  'list {}',
] as const;
/** Work on the entry itself. */
const OTHERS = [
  'unlink {}',
  'rmdir {}',
  'rename {} n',
  'rename2 {} f exchange',
  'link {} n',
  'lchown {} - -',
  'lstat {} size',
  'readlink {}',
  'utimens {} now now nofollow',
] as const;
const REMOVERS = ['unlink {}', 'rmdir {}', 'rename {} n'] as const;
const ALL = [...MAKERS, ...FOLLOWERS, ...OTHERS];

const title = (call: string) => call.replaceAll(' {}', ' PATH');
const on = (call: string, path: string) => call.replace('{}', path);

function refused(calls: readonly string[], what: string, path: string, errno: string, before = ''): Checks {
  return each(calls, (call) => [
    `${title(call)}: ${errno}, ${what}`,
    `create f\nmkdir d\n${before}\n${on(call, path)} -> ${errno}`,
  ]);
}

const TOO_LONG = `${long(255)}/`.repeat(16);

export const PATHS: Checks = {
  ...refused(ALL, 'a file is on the way', 'f/x', 'ENOTDIR'),
  ...refused(ALL, 'nothing is on the way', 'nothing/x', 'ENOENT'),
  ...refused(ALL, 'a name of 256 bytes', long(256), 'ENAMETOOLONG'),
  ...refused(ALL, 'a name of 256 bytes in an empty directory', `d/${long(256)}`, 'ENAMETOOLONG'),
  ...refused(ALL, 'a directory of 256 bytes', `${long(256)}/x`, 'ENAMETOOLONG'),
  ...refused(ALL, 'a path of 4096 bytes', around(4096, 'f'), 'ENAMETOOLONG'),
  ...refused(ALL, 'a path of 4096 bytes that leads nowhere', TOO_LONG, 'ENAMETOOLONG'),
  ...refused(ALL, 'links in a circle on the way', 'one/x', 'ELOOP', 'symlink two one\nsymlink one two'),
  ...refused(FOLLOWERS, 'links in a circle', 'one', 'ELOOP', 'symlink two one\nsymlink one two'),
  ...refused(FOLLOWERS, 'a link to nothing', 'link', 'ENOENT', 'symlink nothing link'),
  ...refused(ALL, 'an empty path', '%', 'ENOENT'),
  ...refused([...FOLLOWERS, ...OTHERS], 'nothing is there', 'nothing', 'ENOENT'),
  ...each(ALL, (call) => [
    `${title(call)}: EACCES, a directory on the way that the caller may not search`,
    `ann: mkdir d 700
     ann: create d/x
     bob: create f
     bob: ${on(call, 'd/x')} -> EACCES
     ann: chmod d 766
     bob: ${on(call, 'd/x')} -> EACCES`,
  ]),
  ...each(MAKERS, (call) => [
    `${title(call)}: EACCES, a directory that the caller may not write to`,
    `ann: mkdir d 755
     bob: create f
     bob: ${on(call, 'd/x')} -> EACCES
     ann: list d ->
     ann: chmod d 757
     bob: ${on(call, 'd/x')}
     ann: list d -> x`,
  ]),
  ...each(REMOVERS, (call) => [
    `${title(call)}: EACCES, a directory that the caller may not write to`,
    `ann: mkdir d 755
     ann: ${call.startsWith('rmdir') ? 'mkdir' : 'create'} d/x
     bob: ${on(call, 'd/x')} -> EACCES
     ann: chmod d 757
     bob: ${on(call, 'd/x')}
     ann: list d ->`,
  ]),
  ...each(MAKERS, (call) => [
    `${title(call)}: a name of 255 bytes`,
    `create f
     ${on(call, long(255))}
     lstat ${long(255)} nlink
     ${call.startsWith('rename') ? '' : 'unlink f'}
     list . -> ${long(255)}`,
  ]),
  ...each(MAKERS, (call) => [
    `${title(call)}: a path of 4095 bytes`,
    `create f\n${on(call, around(4095, 'x'))}\nlstat x nlink`,
  ]),
  ...each(['chmod {} 600', 'stat {} size', 'open x {} rdonly', 'truncate {} 0', 'unlink {}'], (call) => [
    `${title(call)}: a path of 4095 bytes`,
    `create f\n${on(call, around(4095, 'f'))}`,
  ]),
  ...each(
    MAKERS.filter((call) => !call.startsWith('open x {} creat,wronly') && call !== 'rename f {}'),
    (call) => [
      `${title(call)}: EEXIST, whatever is there`,
      `create f
     create file
     mkdir dir
     mkfifo fifo
     mknod socket socket 644
     symlink nothing link
     ${['file', 'dir', 'fifo', 'socket', 'link'].map((name) => `${on(call, name)} -> EEXIST`).join('\n')}
     stat f nlink -> 1`,
    ],
  ),
  ...each(
    MAKERS.filter((call) => !call.startsWith('open x {} creat,wronly') && call !== 'rename f {}'),
    (call) => [
      `${title(call)}: EEXIST goes before EACCES`,
      `ann: mkdir d 755
     ann: create d/x
     bob: create f
     bob: ${on(call, 'd/x')} -> EEXIST`,
    ],
  ),
  ...each(
    [
      'stat {} size',
      'open x {} rdonly',
      'chmod {} 644',
      'truncate {} 0',
      'unlink {}',
      'rename {} n',
      'link {} n',
    ],
    (call) => [
      `${title(call)}: ENOTDIR, a slash behind a file's name`,
      `create f\n${on(call, 'f/')} -> ENOTDIR`,
    ],
  ),
  'mkdir: a slash behind the name': 'mkdir d/\nlstat d type -> dir\nrmdir d/\nlist . ->',
  'rename: a slash behind a directory': 'mkdir d\nrename d/ e/\nlist . -> e',
  'open: EISDIR, a slash behind a new name': 'open x n/ creat,wronly -> EISDIR\nlist . ->',
  'symlink: ENOENT, a slash behind a new name': 'symlink f n/ -> ENOENT\nlist . ->',
  'mkfifo: ENOENT, a slash behind a new name': 'mkfifo n/ -> ENOENT\nlist . ->',
  'link: ENOENT, a slash behind a new name': 'create f\nlink f n/ -> ENOENT\nlist . -> f',
  'rename: ENOTDIR, a slash behind a new name': 'create f\nrename f n/ -> ENOTDIR\nlist . -> f',
  'lstat: a slash behind a link leads through it':
    'mkdir d\nsymlink d l\nlstat l type -> symlink\nlstat l/ type -> dir',
  'forty links are followed, and no more': async (world) => {
    await world.script('create link0');
    for (let at = 1; at <= 41; at += 1) await world.script(`symlink link${at - 1} link${at}`);
    await world.script('stat link40 type -> file\nstat link41 type -> ELOOP');
  },
  'dots lead where they should': `
    mkdir d
    mkdir d/e
    keep d stat d ino
    keep up stat . ino
    stat d/. ino -> $d
    stat d/e/.. ino -> $d
    stat d/e/../.. ino -> $up
    stat d/../d ino -> $d`,
  'dots are no names of entries': `
    mkdir d
    create f
    rmdir . -> EINVAL
    rmdir d/. -> EINVAL
    rmdir d/.. -> ENOTEMPTY
    unlink . -> EISDIR
    unlink d/.. -> EISDIR
    rename d/. e -> EBUSY
    rename d/.. e -> EBUSY
    rename f d/. -> EBUSY
    mkdir . -> EEXIST
    mkdir d/.. -> EEXIST
    link f . -> EEXIST
    open x . creat,wronly -> EISDIR
    list . -> d f`,
  'statfs tells how long names may be': 'statfs . -> 255',
};
