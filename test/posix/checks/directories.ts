import assert from 'node:assert/strict';
import { type Checks, each } from '../checks.ts';
import { TYPE_ROWS } from './chmod.ts';

export const DIRECTORIES: Checks = {
  ...each([0o755, 0o700, 0o777, 0o0, 0o111, 0o1777], (mode) => [
    `mkdir: of mode ${mode.toString(8)}`,
    `umask 0\nmkdir d ${mode.toString(8)}\nlstat d type mode nlink uid gid -> dir ${mode.toString(8)} 2 0 0`,
  ]),
  'mkdir: belongs to who makes it': 'ann: mkdir d\nlstat d uid gid -> @ann @ann',
  'mkdir: times of both': `
    mark .
    mkdir d
    moved . mtime ctime`,
  'mkdir: its times are now': `
    create before
    mark before
    mkdir d
    keep past stat before ctime
    keep now stat d ctime
    differ $past $now
    stat d mtime -> $now
    stat d atime -> $now`,
  'mkdir: links of the parent': `
    mkdir d
    mkdir d/a
    mkdir d/b
    lstat d nlink -> 4
    create d/f
    symlink a d/l
    lstat d nlink -> 4
    rmdir d/a
    lstat d nlink -> 3`,
  'mkdir: setgid of the parent is handed down': `
    mkdir d
    chown d @ann @bob
    chmod d 2777
    ann: mkdir d/e 755
    lstat d/e mode uid gid -> 2755 @ann @bob
    ann: mkdir d/e/g 700
    lstat d/e/g mode gid -> 2700 @bob`,
  ...each(
    TYPE_ROWS.filter(([type]) => type === 'file' || type === 'fifo' || type === 'socket'),
    ([type, make]) => [
      `setgid directory: its group for a ${type}`,
      `mkdir d
       chown d 0 @bob
       chmod d 2777
       ann: ${make.replace(' n', ' d/n')}
       lstat d/n uid gid -> @ann @bob`,
    ],
  ),
  'setgid directory: its group for a link': `
    mkdir d
    chown d 0 @bob
    chmod d 2777
    ann: symlink f d/l
    lstat d/l uid gid -> @ann @bob`,
  'setgid directory: a file with setgid by who is not in the group loses it': `
    mkdir d
    chown d 0 @bob
    chmod d 2777
    ann: umask 0
    ann: open x d/f creat,wronly 2775
    lstat d/f mode gid -> 775 @bob`,
  'setgid directory: a file with setgid by who is in the group keeps it': `
    mkdir d
    chown d 0 @ann
    chmod d 2777
    mate: umask 0
    mate: open x d/f creat,wronly 2775
    lstat d/f mode gid -> 2775 @ann`,
  'setgid directory: moving in changes no group': `
    mkdir d
    chown d 0 @bob
    chmod d 2777
    ann: create f
    ann: rename f d/f
    lstat d/f gid -> @ann`,
  'no setgid directory: the group of who makes it': `
    mkdir d
    chown d @ann @ann
    chmod d 777
    bob: create d/f
    bob: mkdir d/e
    lstat d/f gid -> @bob
    lstat d/e gid mode -> @bob 755`,

  'rmdir: an empty one': 'mkdir d\nrmdir d\nlstat d type -> ENOENT',
  'rmdir: ENOTEMPTY': 'mkdir d\nmkdir d/e\nrmdir d -> ENOTEMPTY\ncreate d/f\nrmdir d/e\nrmdir d -> ENOTEMPTY',
  'rmdir: ENOTDIR': `
    create f
    symlink f l
    mkfifo p
    mkdir d
    symlink d m
    rmdir f -> ENOTDIR
    rmdir l -> ENOTDIR
    rmdir p -> ENOTDIR
    rmdir m -> ENOTDIR`,
  'rmdir: times of the parent': 'mkdir d\nmkdir d/e\nmark d\nrmdir d/e\nmoved d mtime ctime',
  'rmdir: one that is refused moves nothing':
    'mkdir d\ncreate d/f\nmark d .\nrmdir d -> ENOTEMPTY\nmoved d\nmoved .',
  'rmdir: needs no right to the directory itself': `
    ann: mkdir d 0
    bob: rmdir d`,
  'rmdir: ENOTEMPTY also of one that the caller may not read': `
    ann: mkdir d
    ann: create d/f
    ann: chmod d 0
    bob: rmdir d -> ENOTEMPTY`,
  'rmdir: names that came and went': async (world) => {
    await world.script('mkdir d');
    for (let at = 0; at < 50; at += 1) await world.script(`create d/${at}`);
    for (let at = 0; at < 50; at += 1) await world.script(`unlink d/${at}`);
    await world.script('rmdir d\nlist . ->');
  },

  'a removed directory: what works in it': `
    mkdir d
    chdir d
    rmdir ../d
    stat . type nlink -> dir 0
    list . ->
    access . 0
    chmod . 700
    stat . mode -> 700`,
  'a removed directory: nothing is found or made in it': `
    mkdir d
    chdir d
    rmdir ../d
    stat x type -> ENOENT
    lstat x type -> ENOENT
    open x f creat,wronly -> ENOENT
    mkdir e -> ENOENT
    mkfifo p -> ENOENT
    symlink a l -> ENOENT
    unlink x -> ENOENT
    rmdir x -> ENOENT
    link ../f g -> ENOENT
    getcwd -> ENOENT`,
  'a removed directory: what is outside stays in reach of who is in it': `
    mkdir d
    create f
    chdir d
    rmdir ../d
    stat ../f type -> file
    chdir ..
    list . -> f`,
  'a removed directory: nothing moves in': `
    mkdir d
    create f
    chdir d
    rmdir ../d
    rename ../f f -> ENOENT
    link ../f f -> ENOENT`,
  'a removed directory: removed by another': `
    ann: mkdir d
    ann: chdir d
    rmdir d
    ann: list . ->
    ann: stat . nlink -> 0
    ann: create f -> ENOENT
    ann: stat x size -> ENOENT
    ann: open x . rdonly,directory`,
  'a removed directory: open, and read on': `
    mkdir d
    opendir x d
    rmdir d
    readdir x
    readdir x
    readdir x -> end`,
  'a removed directory: open, and read from the start': `
    mkdir d
    create d/f
    opendir x d
    readdir x
    unlink d/f
    rmdir d
    rewinddir x
    readdir x -> end`,
  'a removed directory: by its descriptor': `
    mkdir d
    open x d rdonly
    rmdir d
    fstat x type nlink -> dir 0
    openat y x f creat,wronly -> ENOENT
    mkdirat x e -> ENOENT
    unlinkat x f -> ENOENT
    fchdir x
    stat . nlink -> 0
    fsync x`,
  'a removed directory: replaced by rename': `
    mkdir d
    mkdir e
    open x d rdonly
    rename e d
    fstat x nlink -> 0
    openat y x f creat,wronly -> ENOENT
    openat y x . rdonly
    stat d nlink -> 2`,
  'a removed directory: its name made again is another': `
    mkdir d
    open x d rdonly
    keep old fstat x ino
    rmdir d
    mkdir d
    create d/f
    keep new stat d ino
    differ $old $new
    openat y x f rdonly -> ENOENT
    list d -> f`,
  'a removed directory: mode and owner can be changed by descriptor': `
    mkdir d
    open x d rdonly
    rmdir d
    fchmod x 711
    fchown x @ann @ann
    fstat x mode uid -> 711 @ann`,
  'a removed directory: times can be set by descriptor': `
    mkdir d
    open x d rdonly
    rmdir d
    futimens x 5 6
    fstat x atime mtime -> 5000000000 6000000000`,
  'a removed directory: the ways up are counted': `
    mkdir d
    mkdir d/e
    chdir d/e
    rmdir ../../d/e
    stat .. nlink -> 2
    rmdir ../../d
    stat .. nlink -> 0
    stat ../.. type -> dir`,

  'readdir: dots, and every name once': `
    mkdir d
    create d/a
    mkdir d/b
    symlink x d/c
    mkfifo d/e
    list d -> a b c e`,
  'readdir: 1,200 names': async (world) => {
    const names = Array.from({ length: 1200 }, (_, at) => `name-of-some-length-${at}`);
    await world.script('mkdir d');
    for (const name of names) await world.call('root', `mknod d/${name} file 644`);
    assert.equal(await world.call('root', 'list d'), names.sort().join(' '));
  },
  'readdir: what stays is listed once while others come and go': async (world) => {
    await world.script('mkdir d');
    for (let at = 0; at < 300; at += 1) await world.call('root', `mknod d/stays-${at} file 644`);
    await world.script('opendir x d');
    const found: string[] = [];
    for (let turn = 0; ; turn += 1) {
      const name = await world.call('root', 'readdir x');
      if (name === 'end') break;
      found.push(name);
      if (turn < 300) await world.call('root', `mknod d/comes-${turn} file 644`);
      if (turn % 2 === 1 && turn < 300) await world.call('root', `unlink d/comes-${turn - 1}`);
    }
    const stays = found.filter((name) => name.startsWith('stays-'));
    assert.equal(stays.length, 300);
    assert.equal(new Set(stays).size, 300);
  },
  'telldir: leads back to the same name': async (world) => {
    await world.script('mkdir d');
    for (let at = 0; at < 120; at += 1) await world.call('root', `mknod d/name-${at} file 644`);
    await world.script('opendir x d');
    const places: { place: string; name: string }[] = [];
    for (;;) {
      const place = await world.call('root', 'telldir x');
      const name = await world.call('root', 'readdir x');
      if (name === 'end') break;
      places.push({ place, name });
    }
    assert.equal(places.length, 122);
    assert.equal(new Set(places.map(({ place }) => place)).size, 122);
    for (const { place, name } of [...places].reverse()) {
      await world.call('root', `seekdir x ${place}`);
      assert.equal(await world.call('root', 'readdir x'), name);
    }
  },
  'telldir: stays good while others are removed': async (world) => {
    await world.script('mkdir d');
    for (let at = 0; at < 60; at += 1) await world.call('root', `mknod d/name-${at} file 644`);
    await world.script('opendir x d');
    for (let at = 0; at < 30; at += 1) await world.call('root', 'readdir x');
    const place = await world.call('root', 'telldir x');
    const rest: string[] = [];
    for (let name = ''; name !== 'end'; rest.push(name)) name = await world.call('root', 'readdir x');
    const victim = rest[10] ?? '';
    await world.script(`unlink d/${victim}\nseekdir x ${place}`);
    const again: string[] = [];
    for (let name = ''; name !== 'end'; again.push(name)) name = await world.call('root', 'readdir x');
    // Whether what went meanwhile is shown is not said.
    const others = (names: string[]) => names.filter((name) => name !== victim);
    assert.deepEqual(others(again), others(rest));
  },
  'rewinddir: shows what came since': `
    mkdir d
    create d/a
    opendir x d
    readdir x
    readdir x
    readdir x
    readdir x -> end
    create d/b
    rewinddir x
    readdir x
    readdir x
    readdir x
    readdir x
    readdir x -> end`,
  'readdir: a directory is listed by who may read it only': `
    ann: mkdir d
    ann: create d/f
    ann: chmod d 744
    bob: list d -> f
    bob: stat d/f size -> EACCES
    ann: chmod d 711
    bob: list d -> EACCES
    bob: stat d/f size -> 0`,
  'readdir: an open directory stays open': `
    ann: mkdir d
    ann: create d/f
    bob: opendir x d
    ann: chmod d 0
    bob: readdir x
    bob: readdir x
    bob: readdir x
    bob: readdir x -> end`,
  'chdir: needs the right to search': `
    ann: mkdir d 766
    bob: chdir d -> EACCES
    ann: chmod d 711
    bob: chdir d`,
  'chdir: ENOTDIR': 'create f\nsymlink f l\nchdir f -> ENOTDIR\nchdir l -> ENOTDIR',
  'fchdir: a directory that moved': `
    mkdir d
    mkdir e
    open x d rdonly
    rename d e/d
    fchdir x
    create f
    chdir ../..
    list e/d -> f`,
  'getcwd: follows a directory that moves': async (world) => {
    await world.script('mkdir d\nchdir d\nrename ../d ../e');
    assert.equal(await world.call('root', 'getcwd'), `${world.directory}/e`);
  },
};
