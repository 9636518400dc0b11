// What becomes of one mount's beliefs while somebody does not answer: look-ups that are held, a mount or a master that stands
// still, a network that carries nothing. Nothing waits for ever, and nothing old stays.
import * as fs from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { kill } from './cluster.ts';
import { between, TwoMounts, WatchedMount } from './two-mounts.ts';

/** To catch up takes milliseconds, on a machine that is busy a little longer. An hour it is not. */
const PATIENCE_MS = 20_000;
const { appendFile, chmod, mkdir, open, readdir, rename, stat, unlink, writeFile } = fs.promises;

const mounts = new TwoMounts(test);

const mode = async (path: string) => (await stat(path)).mode & 0o777;
const code = (error: unknown) => (error as { code?: string }).code ?? String(error);

/** In the end it is so. */
async function becomes<T>(
  t: ExecutionContext,
  what: string,
  expected: T | string,
  look: () => Promise<T | string>,
) {
  const deadline = Date.now() + PATIENCE_MS;
  let seen = await look().catch(code);
  while (JSON.stringify(seen) !== JSON.stringify(expected) && Date.now() < deadline)
    seen = await look().catch(code);
  t.deepEqual(seen as unknown, expected as unknown, what);
}

/** Resolves when the mount was asked for one more of these than before. */
async function asked(mount: WatchedMount, operation: string, before: Record<string, number>): Promise<void> {
  while (((await mount.requests())[operation] ?? 0) <= (before[operation] ?? 0));
}

/** Stops processes while something is done, and lets them go on whatever happens. */
async function whileStopped(pids: readonly number[], body: () => Promise<void>): Promise<void> {
  for (const pid of pids) kill(pid, 'SIGSTOP');
  try {
    await body();
  } finally {
    for (const pid of pids) kill(pid, 'SIGCONT');
  }
}

between(
  mounts,
  'a look-up that is held keeps nobody for long, and nothing old behind it',
  async (t, { a, b }) => {
    for (const name of ['kept', 'gone', 'moved']) await writeFile(join(a, name), name);
    await mkdir(join(a, 'd'));
    const log = await open(join(a, 'log'), 'a');
    await log.write('record');
    for (const name of ['kept', 'gone', 'moved', 'd']) await stat(join(b, name));
    const servers = mounts.cluster.file.chunkservers.map(({ pid }) => pid);
    const before = await mounts.b.requests();
    let look = Promise.resolve(0);
    let isHeld = true;
    await whileStopped(servers, async () => {
      // How long the file is only its servers know.
      look = stat(join(b, 'log')).then(({ size }) => size);
      look.finally(() => {
        isHeld = false;
      });
      await asked(mounts.b, 'lookup', before);
      await unlink(join(a, 'gone'));
      await rename(join(a, 'moved'), join(a, 'there'));
      await fs.promises.rmdir(join(a, 'd'));
      await chmod(join(a, 'kept'), 0o600);
      t.is(await mode(join(b, 'kept')), 0o600, 'what an inode is like waits for no look-up');
      t.true(isHeld);
    });
    t.is(await look, 6);
    await becomes(t, 'removed', 'ENOENT', () => mode(join(b, 'gone')));
    await becomes(t, 'moved', 'ENOENT', () => mode(join(b, 'moved')));
    await becomes(t, 'a removed directory', 'ENOENT', () => mode(join(b, 'd')));
    t.deepEqual((await readdir(b)).sort(), ['kept', 'log', 'there']);
    await log.close();
  },
);

between(
  mounts,
  'a read sees what was appended before it, also when news overtake the answer that tells it how long the file is',
  async (t, { a, b }) => {
    await writeFile(join(a, 'f'), 'one');
    // Nobody writes: its kernel reads by pages, up to where it believes the file to end.
    const reader = await open(join(b, 'f'));
    const read = async () => (await reader.read(Buffer.alloc(100), 0, 100, 0)).bytesRead;
    t.is(await read(), 3);
    const log = await open(join(a, 'f'), 'a');
    await log.write('two');
    const before = await mounts.b.requests();
    const servers = mounts.cluster.file.chunkservers.map(({ pid }) => pid);
    let length = Promise.resolve(0);
    await whileStopped(servers, async () => {
      length = read();
      await asked(mounts.b, 'getAttributes', before);
      await chmod(join(a, 'f'), 0o600);
    });
    t.is(await length, 6);
    await log.write('three');
    t.is(await read(), 11);
    await reader.close();
    await log.close();
  },
);

between(mounts, 'a master that stands still while both mounts ask it', async (t, { a, b }) => {
  for (const name of ['kept', 'gone']) await writeFile(join(a, name), name);
  for (const name of ['kept', 'gone']) await stat(join(b, name));
  const [beforeA, beforeB] = [await mounts.a.requests(), await mounts.b.requests()];
  let changes: Promise<unknown> = Promise.resolve();
  let look: Promise<string> = Promise.resolve('');
  await whileStopped([mounts.cluster.file.master.pid], async () => {
    changes = Promise.all([unlink(join(a, 'gone')), chmod(join(a, 'kept'), 0o600)]);
    look = stat(join(b, 'unknown')).then(() => 'there', code);
    await asked(mounts.a, 'unlink', beforeA);
    await asked(mounts.b, 'lookup', beforeB);
  });
  await changes;
  t.is(await mode(join(b, 'gone')).catch(code), 'ENOENT');
  t.is(await mode(join(b, 'kept')), 0o600);
  t.is(await look, 'ENOENT');
});

between(mounts, 'a mount that stands still is waited for a second, and catches up', async (t, { a, b }) => {
  for (const name of ['kept', 'gone']) await writeFile(join(a, name), name);
  for (const name of ['kept', 'gone']) await stat(join(b, name));
  await whileStopped([mounts.b.pid], async () => {
    await chmod(join(a, 'kept'), 0o600);
    await unlink(join(a, 'gone'));
    await appendFile(join(a, 'kept'), 'more');
  });
  await becomes(t, 'chmod', 0o600, () => mode(join(b, 'kept')));
  await becomes(t, 'unlink', 'ENOENT', () => mode(join(b, 'gone')));
  await becomes(t, 'append', 8, async () => (await stat(join(b, 'kept'))).size);
});

between(mounts, 'a mount that is cut off has its kernel forget what it believes', async (t, { a }) => {
  const relay = await Relay.to(mounts.cluster.file.master.address);
  const cut = new WatchedMount(relay.address);
  try {
    await cut.mounted();
    await writeFile(join(a, 'f'), '');
    const onCut = join(cut.path, a.slice(mounts.a.path.length + 1), 'f');
    await stat(onCut);
    relay.pause();
    await chmod(join(a, 'f'), 0o600);
    await cut.logged('the master is not heard');
    const look = mode(onCut);
    relay.resume();
    t.is(await look, 0o600);
    await chmod(join(a, 'f'), 0o640);
    await becomes(t, 'in touch again', 0o640, () => mode(onCut));
    await becomes(t, 'and believes again', 0, async () => {
      const before = await cut.requests();
      for (let count = 0; count < 100; count += 1) await stat(onCut);
      const after = await cut.requests();
      return (
        (after.getAttributes ?? 0) + (after.lookup ?? 0) - (before.getAttributes ?? 0) - (before.lookup ?? 0)
      );
    });
  } finally {
    relay.resume();
    await cut.end();
    relay.close();
  }
});

/** Carries bytes between a mount and the master, or keeps them for later. */
class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #paused = false;

  static async to(master: string): Promise<Relay> {
    const [host = '', port] = master.split(':');
    const relay = new Relay(host, Number(port));
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  private constructor(host: string, port: number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host, port, noDelay: true });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (bytes) => to.write(bytes));
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        if (this.#paused) from.pause();
      }
    });
  }

  get address(): string {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : '';
  }

  pause(): void {
    this.#paused = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
