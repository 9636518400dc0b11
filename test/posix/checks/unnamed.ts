import type { Checks } from '../checks.ts';

/** O_TMPFILE: a file in a directory, without a name there. */
export const UNNAMED: Checks = {
  'tmpfile: is a file that has no name': `
    mark .
    open x . tmpfile,rdwr
    fstat x type nlink size -> file 0 0
    write x data -> 4
    pread x 10 0 -> data
    fstat x nlink size -> 0 4
    moved .
    list . ->`,
  'tmpfile: linked, it is a file like others': `
    open x . tmpfile,rdwr
    write x data
    keep i fstat x ino
    linkopen x f
    fstat x nlink -> 1
    lstat f ino type nlink size -> $i file 1 4
    get f -> data
    write x more
    get f -> datamore
    link f g
    rename f h
    unlink g
    lstat h nlink -> 1
    list . -> h`,
  'tmpfile: linked by its descriptor alone': 'open x . tmpfile,wronly\nlinkempty x f\nlstat f nlink -> 1',
  'tmpfile: linked in another directory, and to a second name': `
    mkdir d
    mkdir e
    open x d tmpfile,wronly
    linkopen x e/f
    linkopen x d/g
    lstat d/g nlink -> 2
    rmdir d -> ENOTEMPTY
    unlink d/g
    rmdir d
    get e/f -> %`,
  'tmpfile: times of linking': `
    mkdir d
    open x . tmpfile,wronly
    linkopen x f
    open y . tmpfile,wronly
    mark f d
    linkopen y d/g
    moved d mtime ctime
    moved f`,
  'tmpfile: ENOENT of a second first name': `
    open x . tmpfile,wronly
    linkopen x f
    unlink f
    fstat x nlink -> 0
    linkopen x f -> ENOENT
    linkempty x f -> ENOENT
    list . ->`,
  'tmpfile: ENOENT of any name, with excl': `
    open x . tmpfile,excl,rdwr
    write x data
    linkopen x f -> ENOENT
    linkempty x f -> ENOENT
    pread x 10 0 -> data
    list . ->`,
  'tmpfile: EEXIST of a name that is taken': `
    create f
    open x . tmpfile,wronly
    linkopen x f -> EEXIST
    linkopen x g
    linkopen x g -> EEXIST`,
  'tmpfile: umask': `
    umask 27
    open x . tmpfile,rdwr 777
    fstat x mode -> 750
    umask 0
    open y . tmpfile,rdwr 666
    fstat y mode -> 666
    open z . tmpfile,rdwr 4755
    fstat z mode -> 4755`,
  'tmpfile: its mode is for later': `
    umask 0
    ann: open x . tmpfile,rdwr 0
    ann: write x data -> 4
    ann: linkopen x f
    lstat f mode uid gid size -> 0 @ann @ann 4
    ann: open y f rdonly -> EACCES`,
  'tmpfile: a setgid directory hands its group down': `
    umask 0
    bob: umask 0
    mate: umask 0
    mkdir d
    chown d - @ann
    chmod d 2777
    open x d tmpfile,wronly 644
    fstat x gid mode -> @ann 644
    bob: open y d tmpfile,wronly 2775
    bob: fstat y uid gid mode -> @bob @ann 775
    mate: open z d tmpfile,wronly 2775
    mate: fstat z uid gid mode -> @mate @ann 2775`,
  'tmpfile: writing to the directory has to be allowed': `
    mkdir d 555
    mkdir e 666
    mkdir g 300
    ann: open x d tmpfile,wronly -> EACCES
    ann: open x e tmpfile,wronly -> EACCES
    ann: open x g tmpfile,wronly -> EACCES
    chown g @ann -
    ann: open x g tmpfile,wronly
    ann: linkopen x g/f
    open x d tmpfile,wronly`,
  'tmpfile: linking is subject to where the name goes': `
    mkdir d 755
    ann: open x . tmpfile,wronly
    ann: linkopen x d/f -> EACCES
    ann: linkopen x nothing/f -> ENOENT
    ann: linkopen x f`,
  'tmpfile: EINVAL for reading alone': 'open x . tmpfile,rdonly -> EINVAL\nlist . ->',
  'tmpfile: ENOTDIR of a file, ENOENT of nothing': `
    create f
    open x f tmpfile,wronly -> ENOTDIR
    open x nothing tmpfile,wronly -> ENOENT
    open x f/. tmpfile,wronly -> ENOTDIR`,
  'tmpfile: attributes are changed by the descriptor': `
    ann: open x . tmpfile,rdwr 600
    ann: fchmod x 640
    ann: ftruncate x 1000
    ann: fstat x mode size -> 640 1000
    ann: linkopen x f
    lstat f mode size uid -> 640 1000 @ann`,
  'tmpfile: opened once more by its descriptor': `
    open x . tmpfile,rdwr
    write x data
    reopen y x rdonly
    read y 10 -> data
    close x
    read y 10 -> %`,
};
