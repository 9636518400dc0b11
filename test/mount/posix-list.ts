// What programs expect of a file system, one check each, in an empty directory. The list runs on the mount and on an ordinary
// directory: a check that fails there is wrong itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

type Check = (at: (name: string) => string) => Promise<void>;

const { O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } = fs.constants;
const fails = (code: string, work: Promise<unknown>) => assert.rejects(work, { code });

async function opened<T>(path: string, flags: number, use: (file: fs.FileHandle) => Promise<T>): Promise<T> {
  const file = await fs.open(path, flags, 0o644);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function readAt(file: fs.FileHandle, length: number, position: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

const python = (at: (name: string) => string, script: string) =>
  execFileSync('python3', ['-c', script], { cwd: at('.'), encoding: 'utf8' });

export const POSIX_LIST: Readonly<Record<string, Check>> = {
  'holes read as zeros, also across chunks': async (at) => {
    await opened(at('f'), O_RDWR | O_CREAT, async (file) => {
      await file.write('end', 9_000_000);
      await file.write('begin', 5);
      assert.equal((await file.stat()).size, 9_000_003);
      assert.deepEqual(await readAt(file, 12, 0), Buffer.from('\0\0\0\0\0begin\0\0'));
      assert.deepEqual(await readAt(file, 10, 8_999_999), Buffer.from('\0end'));
    });
    const whole = await fs.readFile(at('f'));
    assert.equal(whole.length, 9_000_003);
    assert.ok(whole.subarray(10, 9_000_000).every((byte) => byte === 0));
  },
  'truncate shortens, and extends with zeros': async (at) => {
    await fs.writeFile(at('f'), 'a'.repeat(100_000));
    await fs.truncate(at('f'), 10);
    await fs.truncate(at('f'), 50);
    assert.equal(await fs.readFile(at('f'), 'latin1'), 'a'.repeat(10) + '\0'.repeat(40));
  },
  'ftruncate counts what was just written': async (at) => {
    await opened(at('f'), O_RDWR | O_CREAT, async (file) => {
      await file.write('b'.repeat(70_000));
      await file.truncate(5);
      assert.equal((await file.stat()).size, 5);
      assert.equal((await readAt(file, 100, 0)).toString(), 'bbbbb');
    });
    assert.equal((await fs.stat(at('f'))).size, 5);
  },
  'O_TRUNC empties, O_EXCL refuses': async (at) => {
    await fs.writeFile(at('f'), 'a'.repeat(100_000));
    await opened(at('f'), O_WRONLY | O_TRUNC, async (file) => assert.equal((await file.stat()).size, 0));
    assert.equal(await fs.readFile(at('f'), 'utf8'), '');
    await fails('EEXIST', fs.open(at('f'), O_WRONLY | O_CREAT | O_EXCL));
  },
  'a file lives until it is closed, without any name': async (at) => {
    await opened(at('f'), O_RDWR | O_CREAT, async (file) => {
      await file.write('data');
      await fs.unlink(at('f'));
      await fails('ENOENT', fs.stat(at('f')));
      await file.write('more');
      assert.equal((await readAt(file, 100, 0)).toString(), 'datamore');
      assert.equal((await file.stat()).nlink, 0);
    });
  },
  'rename replaces, and who has the old file open keeps it': async (at) => {
    await fs.writeFile(at('old'), 'old');
    await fs.writeFile(at('new'), 'new');
    await opened(at('old'), O_RDWR, async (file) => {
      await fs.rename(at('new'), at('old'));
      assert.equal((await readAt(file, 10, 0)).toString(), 'old');
    });
    assert.equal(await fs.readFile(at('old'), 'utf8'), 'new');
  },
  'appends of several descriptors go one behind the other': async (at) => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index}\n`);
    await opened(at('f'), O_WRONLY | O_CREAT | O_APPEND, (one) =>
      opened(at('f'), O_WRONLY | O_APPEND, async (two) => {
        for (const [index, line] of lines.entries()) await (index % 2 ? one : two).write(line);
      }),
    );
    assert.equal(await fs.readFile(at('f'), 'utf8'), lines.join(''));
  },
  'hard links share the file': async (at) => {
    await fs.writeFile(at('a'), 'x');
    await fs.link(at('a'), at('b'));
    assert.equal((await fs.stat(at('a'))).nlink, 2);
    await fs.appendFile(at('b'), 'y');
    await fs.unlink(at('a'));
    assert.equal(await fs.readFile(at('b'), 'utf8'), 'xy');
    assert.equal((await fs.stat(at('b'))).nlink, 1);
  },
  'symbolic links hold any text': async (at) => {
    await fs.symlink('nowhere/at all', at('s'));
    assert.equal(await fs.readlink(at('s')), 'nowhere/at all');
    await fails('ENOENT', fs.stat(at('s')));
    assert.ok((await fs.lstat(at('s'))).isSymbolicLink());
  },
  'mode, owner and times are kept to the nanosecond, also before 1970': async (at) => {
    await fs.writeFile(at('f'), '');
    await fs.chmod(at('f'), 0o604);
    python(at, `import os; os.utime('f', ns=(1234567890123456789, -987654321987654321))`);
    const { mode, atimeNs, mtimeNs } = await fs.stat(at('f'), { bigint: true });
    assert.deepEqual(
      [mode & 0o7777n, atimeNs, mtimeNs],
      [0o604n, 1_234_567_890_123_456_789n, -987_654_321_987_654_321n],
    );
  },
  'FIFOs, sockets and regular nodes': async (at) => {
    python(at, `import os, socket; os.mkfifo('p'); socket.socket(socket.AF_UNIX).bind('s'); os.mknod('r')`);
    assert.ok((await fs.stat(at('p'))).isFIFO());
    assert.ok((await fs.stat(at('s'))).isSocket());
    assert.ok((await fs.stat(at('r'))).isFile());
  },
  'wrong calls have their errors': async (at) => {
    await fs.mkdir(at('d'));
    await fs.writeFile(at('d/f'), 'x');
    await fails('ENOTEMPTY', fs.rmdir(at('d')));
    await fails('EEXIST', fs.mkdir(at('d')));
    await fails('ENOENT', fs.stat(at('nothing')));
    await fails('ENOTDIR', fs.stat(at('d/f/g')));
    await fails('EISDIR', fs.writeFile(at('d'), ''));
    await fails('EINVAL', fs.rename(at('d'), at('d/e')));
    await fails('ENOTDIR', fs.rmdir(at('d/f')));
    await fails('ENAMETOOLONG', fs.writeFile(at('n'.repeat(256)), ''));
    await fs.writeFile(at('n'.repeat(255)), '');
  },
  'a shared mapping is written back': async (at) => {
    await fs.writeFile(at('f'), 'z'.repeat(10_000));
    const script = `
import mmap, os
f = os.open('f', os.O_RDWR); m = mmap.mmap(f, 10000); m[5000:5005] = b'hello'; m.flush(); m.close(); os.close(f)`;
    python(at, script);
    assert.equal((await fs.readFile(at('f'), 'latin1')).slice(4999, 5006), 'zhelloz');
  },
  'locks of one descriptor hold against another': async (at) => {
    const script = `
import fcntl
a = open('f', 'w'); b = open('f', 'w'); fcntl.flock(a, fcntl.LOCK_EX)
try: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB); print('both')
except BlockingIOError: print('one')`;
    assert.equal(python(at, script), 'one\n');
  },
  'a database commits, with either journal': async (at) => {
    const script = `
import sqlite3
for mode in ('delete', 'wal'):
    c = sqlite3.connect('db'); c.execute('pragma journal_mode=' + mode); c.execute('create table if not exists t(a)')
    with c: c.executemany('insert into t values(?)', [(i,) for i in range(1000)])
    c.close()
c = sqlite3.connect('db'); print(c.execute('select count(*), sum(a) from t').fetchone(), c.execute('pragma integrity_check').fetchone())`;
    assert.equal(python(at, script), "(2000, 999000) ('ok',)\n");
  },
  'direct I/O reads what it wrote': async (at) => {
    const script = `
import mmap, os
f = os.open('f', os.O_RDWR | os.O_CREAT | os.O_DIRECT); a = mmap.mmap(-1, 1 << 20); a[:5] = b'hello'; b = mmap.mmap(-1, 1 << 20)
print(os.pwrite(f, a, 0), os.preadv(f, [b], 0), b[:5])`;
    assert.equal(python(at, script), "1048576 1048576 b'hello'\n");
  },
  'an overwrite in the middle changes that and nothing else': async (at) => {
    const data = randomBytes(10_000_000);
    await fs.writeFile(at('f'), data);
    const patch = randomBytes(70_001);
    patch.copy(data, 4_123_457);
    await opened(at('f'), O_RDWR, async (file) => {
      await file.write(patch, 0, patch.length, 4_123_457);
      assert.ok((await readAt(file, 80_000, 4_120_000)).equals(data.subarray(4_120_000, 4_200_000)));
      await file.sync();
    });
    assert.ok((await fs.readFile(at('f'))).equals(data));
  },
  'a directory of many is listed, looked at and removed': async (at) => {
    await fs.mkdir(at('d'));
    const names = Array.from({ length: 300 }, (_, index) => `${index}`);
    await Promise.all(names.map((name) => fs.writeFile(at(`d/${name}`), name)));
    const found = await fs.readdir(at('d'));
    assert.deepEqual(found.sort(), [...names].sort());
    for (const name of names) assert.equal((await fs.stat(at(`d/${name}`))).size, name.length);
    await fs.rm(at('d'), { recursive: true });
    await fails('ENOENT', fs.stat(at('d')));
  },
  'names that are not UTF-8': async (at) => {
    const name = Buffer.concat([Buffer.from(at('')), Buffer.from([0x66, 0xff, 0xfe])]);
    await fs.writeFile(name, 'bytes');
    const found = await fs.readdir(at(''), { encoding: 'buffer' });
    assert.deepEqual(found, [Buffer.from([0x66, 0xff, 0xfe])]);
    await fs.unlink(name);
  },
};

export function placesIn(directory: string): (name: string) => string {
  return (name) => (name === '' ? `${directory}/` : join(directory, name));
}
