// The device threads, the codec and the server, by real system calls on a mounted file system in memory.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { must } from '../../src/base/assert.ts';
import { skipsLibfuse } from './fuse-native/libfuse.ts';
import { mountDirectory, mountedAt, startServer, whyNoMount } from './mount-helper.ts';

const SCRIPT = join(import.meta.dirname, 'serve-memory.js');
const why = whyNoMount();
const LIBFUSE = 'fuse-native';

type Server = Awaited<ReturnType<typeof startServer>>;

/** A test on a mount, by the kernel driver's readers or by libfuse; without /dev/fuse or libfuse it says so and passes. */
function mounted(
  title: string,
  { how = '1', timeoutMs = 1000 }: { how?: string; timeoutMs?: number },
  body: (t: ExecutionContext, path: string, server: Server) => Promise<void>,
): void {
  test(title, async (t) => {
    if (why !== undefined) {
      t.log(`skipped: ${why}`);
      t.pass();
      return;
    }
    if (how === LIBFUSE && skipsLibfuse(t)) return;
    const path = mountDirectory(t);
    await body(t, path, await startServer(t, [SCRIPT, path, how, String(timeoutMs)]));
  });
}

/** The server has done what the signal means. */
async function obeyed({ process }: Server, signal: NodeJS.Signals): Promise<void> {
  const heard = once(must(process.stdout, 'it is piped'), 'data');
  process.kill(signal);
  await heard;
}

for (const how of ['1', '2', LIBFUSE]) {
  const by = how === LIBFUSE ? 'by libfuse' : `with ${how} readers`;
  mounted(`ordinary system calls work ${by}`, { how }, async (t, path) => {
    const at = (...names: string[]) => join(path, ...names);
    await fs.mkdir(at('d'), { mode: 0o750 });
    await fs.writeFile(at('d', 'a'), 'hello', { mode: 0o640 });
    await fs.appendFile(at('d', 'a'), ' world');
    t.is(await fs.readFile(at('d', 'a'), 'utf8'), 'hello world');
    await fs.rename(at('d', 'a'), at('b'));
    await fs.link(at('b'), at('hard'));
    await fs.symlink('b', at('soft'));
    t.is(await fs.readlink(at('soft')), 'b');
    t.is(await fs.readFile(at('soft'), 'utf8'), 'hello world');
    await fs.truncate(at('b'), 5);
    await fs.utimes(at('b'), 1000, 2000.5);
    await fs.chmod(at('b'), 0o600);
    // libfuse has an inode for each name, which the kernel remembers for itself.
    const status = await fs.stat(at(how === LIBFUSE ? 'b' : 'hard'));
    t.deepEqual([status.size, status.mode & 0o7777, status.nlink, status.mtimeMs], [5, 0o600, 2, 2_000_500]);
    t.deepEqual((await fs.readdir(path)).sort(), ['b', 'd', 'hard', 'soft']);
    await fs.unlink(at('hard'));
    await t.throwsAsync(fs.stat(at('hard')), { code: 'ENOENT' });
    await t.throwsAsync(fs.mkdir(at('d')), { code: 'EEXIST' });
    await fs.rmdir(at('d'));
    if (how === LIBFUSE) return;
    const name = Buffer.concat([Buffer.from(`${path}/`), Buffer.from('caf\xe9', 'latin1')]);
    await fs.writeFile(name, 'bytes');
    t.true((await fs.readdir(path, { encoding: 'buffer' })).some((found) => found.includes(0xe9)));
  });

  mounted(`many at a time get their own bytes ${by}`, { how }, async (t, path) => {
    await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        // Larger than one request, and no multiple of anything.
        const data = randomBytes(3 * 2 ** 20 + index * 1000 + 7);
        const file = join(path, `file-${index}`);
        await fs.writeFile(file, data);
        const digest = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');
        t.is(digest(await fs.readFile(file)), digest(data));
      }),
    );
  });
}

mounted('a large directory is listed whole, with what each name is', {}, async (t, path) => {
  const names = Array.from({ length: 3000 }, (_, index) => `a-name-of-some-length-${index}`);
  for (const name of names) await fs.mkdir(join(path, name));
  const found = await fs.readdir(path, { withFileTypes: true });
  t.deepEqual(found.map(({ name }) => name).sort(), [...names].sort());
  t.true(found.every((entry) => entry.isDirectory()));
});

mounted('unmounted from outside, the process ends by itself', {}, async (t, path, server) => {
  await fs.writeFile(join(path, 'a'), 'data');
  execFileSync(process.getuid?.() === 0 ? 'umount' : 'fusermount3', [
    ...(process.getuid?.() === 0 ? [] : ['-u']),
    path,
  ]);
  t.deepEqual(await server.ended, { code: 0, signal: null });
});

mounted('SIGTERM unmounts, also while a file is open there', {}, async (t, path, server) => {
  const file = await fs.open(join(path, 'a'), 'w');
  server.process.kill('SIGTERM');
  while (mountedAt(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  await file.write('still works');
  await file.close();
  t.deepEqual(await server.ended, { code: 0, signal: null });
  t.deepEqual(await fs.readdir(path), []);
});

mounted('killed, it leaves a dead mount that the next one replaces', {}, async (t, path, server) => {
  server.process.kill('SIGKILL');
  await server.ended;
  await t.throwsAsync(fs.stat(path), { code: 'ENOTCONN' });
  const next = await startServer(t, [SCRIPT, path]);
  await fs.writeFile(join(path, 'a'), 'data');
  next.process.kill('SIGTERM');
  await next.ended;
  t.false(mountedAt(path));
});

mounted(
  'a signal does not end a look-up that is waited for, but who is killed ends at once',
  {},
  async (t, path) => {
    const script = `process.on('SIGUSR2', () => {}); require('node:fs').statSync(${JSON.stringify(join(path, 'wait'))})`;
    const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
    const isWaiting = () => readFileSync(`/proc/${child.pid}/wchan`, 'latin1') === 'request_wait_answer';
    while (!isWaiting()) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGUSR2');
    // Taken after the signal, an answer to something else says that the interrupt was read as well.
    await t.throwsAsync(fs.stat(join(path, 'nothing')), { code: 'ENOENT' });
    t.true(isWaiting());
    child.kill('SIGKILL');
    t.is(await ended, 'SIGKILL');
    await t.throwsAsync(fs.stat(join(path, 'go')), { code: 'ENOENT' });
  },
);

mounted('a shell appends line after line', {}, async (t, path) => {
  const child = spawn('sh', ['-c', `for i in 1 2 3; do echo $i >> '${path}/log'; done`]);
  await new Promise((resolve) => child.once('close', resolve));
  t.is(await fs.readFile(join(path, 'log'), 'utf8'), '1\n2\n3\n');
});

for (const how of ['1', '2']) {
  mounted(`a close after reading asks nothing, with ${how} readers`, { how }, async (t, path, server) => {
    await fs.writeFile(join(path, 'a'), 'data');
    for (let count = 0; count < 3; count += 1) t.is(await fs.readFile(join(path, 'a'), 'utf8'), 'data');
    server.process.kill('SIGTERM');
    await server.ended;
    const calls: string[] = JSON.parse(server.output().split('\n')[1] ?? '');
    t.is(calls.filter((call) => call === 'release').length, 4);
    // All that came are the writer's: processes begun by other tests close his descriptor, too.
    t.true(calls.lastIndexOf('flush') < calls.indexOf('release'));
  });
}

for (const how of ['1', '2']) {
  const answered = { how, timeoutMs: 0 };
  mounted(
    `what is ready is answered by the device, with ${how} readers`,
    answered,
    async (t, path, server) => {
      // (What this process asks for itself, a time of birth too, is always delivered.)
      const mode = async () => (await promisify(execFile)('stat', ['-c', '%a', path])).stdout.trim();
      const modeAfter = async (signal: NodeJS.Signals) => {
        await obeyed(server, signal);
        return await mode();
      };
      const own = await mode();
      t.not(own, '711');
      t.is(await modeAfter('SIGUSR1'), '711');
      t.is(await modeAfter('SIGHUP'), own, 'it is ready no more');
      t.is(await modeAfter('SIGUSR1'), '711');
      t.is(await modeAfter('SIGUSR2'), own, 'its time is over');
    },
  );
  mounted(
    `that a node is bare is answered by the device, with ${how} readers`,
    answered,
    async (t, path, server) => {
      const ask = (name: string) => spawnSync('getfattr', ['-n', name, path], { encoding: 'utf8' });
      if (ask('security.capability').error !== undefined) {
        t.log('skipped: no getfattr');
        t.pass();
        return;
      }
      for (const signal of ['SIGUSR1', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
        await obeyed(server, signal);
        for (const name of ['security.capability', 'security.capabilities', 'user.capability'])
          t.regex(ask(name).stderr, /No such attribute/, `${name} after ${signal}`);
      }
      server.process.kill('SIGTERM');
      await server.ended;
      const calls: string[] = JSON.parse(server.output().split('\n').at(-2) ?? '');
      const asked = (name: string) => calls.filter((call) => call === `getXattr ${name}`).length;
      t.is(asked('security.capability'), 3, 'but while it was bare');
      t.is(asked('security.capabilities'), 4);
      t.is(asked('user.capability'), 4);
    },
  );
}
