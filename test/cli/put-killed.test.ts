// `gfs put` and `gfs get` that are ended at any moment leave nothing, what was there before, or the whole file.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { MiB } from '../../src/base/units.ts';
import { type FileCommands, sharedCommands } from './file-commands.ts';

const withCommands = sharedCommands('1MiB');

/** Of each kind of end. */
const KILL_COUNT = 50;
const INTERRUPT_COUNT = 6;
/** At a time. */
const TOGETHER = 2;

/** Runs a command to its end, and answers how long that took. */
async function timed(commands: FileCommands, args: readonly string[]): Promise<number> {
  const startedAtMs = performance.now();
  await commands.gfs(...args);
  return performance.now() - startedAtMs;
}

/** Ends commands at moments that are spread over the time one takes, but for its first fifth, and a little more. */
async function ended(
  commands: FileCommands,
  { count, signal, wholeMs }: { count: number; signal: NodeJS.Signals; wholeMs: number },
  argsOf: (index: number) => readonly string[],
): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index);
  const one = async () => {
    for (let index = indexes.pop(); index !== undefined; index = indexes.pop()) {
      const running = commands.start(argsOf(index));
      const closed = once(running, 'close');
      await sleep((0.2 + Math.random() * 1.3) * wholeMs);
      running.kill(signal);
      await closed;
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
}

async function namesIn(commands: FileCommands, path: string): Promise<string[]> {
  return (await commands.gfs('ls', path)).split('\n').filter((name) => name !== '');
}

async function checkWhole(
  t: ExecutionContext,
  commands: FileCommands,
  names: readonly string[],
  allowed: readonly Buffer[],
): Promise<void> {
  const { out } = await commands.call(['cat', ...names]);
  let position = 0;
  for (const name of names) {
    const found = allowed.find((bytes) => bytes.equals(out.subarray(position, position + bytes.length)));
    t.truthy(found, `${name} is whole`);
    position += found?.length ?? 0;
  }
  t.is(position, out.length);
}

withCommands('put that is killed at any moment leaves nothing or the whole file', async (t, commands) => {
  t.timeout(300_000);
  const bytes = randomBytes(6 * MiB);
  writeFileSync(join(commands.directory, 'source'), bytes);
  await commands.gfs('mkdir', '/killed');
  const wholeMs = await timed(commands, ['put', 'source', '/killed/first']);
  await ended(commands, { count: KILL_COUNT, signal: 'SIGKILL', wholeMs }, (index) => [
    ...['put', 'source', `/killed/${index}`],
  ]);
  const names = await namesIn(commands, '/killed');
  t.log(`${names.length - 1} of ${KILL_COUNT} were done before they were killed`);
  t.deepEqual(
    names.filter((name) => name.startsWith('.')),
    [],
  );
  await checkWhole(
    t,
    commands,
    names.map((name) => `/killed/${name}`),
    [bytes],
  );
});

withCommands(
  'put that is killed at any moment leaves the old file or the new one, and no other name',
  async (t, commands) => {
    t.timeout(300_000);
    const old = Buffer.from('what was there before');
    const bytes = randomBytes(4 * MiB);
    const names = Array.from({ length: KILL_COUNT }, (_, index) => `${index}`);
    mkdirSync(join(commands.directory, 'replaced'));
    for (const name of names) writeFileSync(join(commands.directory, 'replaced', name), old);
    writeFileSync(join(commands.directory, 'source'), bytes);
    await commands.gfs('put', '-r', 'replaced', '/');
    const wholeMs = await timed(commands, ['put', 'source', '/first']);
    await ended(commands, { count: KILL_COUNT, signal: 'SIGKILL', wholeMs }, (index) => [
      ...['put', 'source', `/replaced/${index}`],
    ]);
    t.deepEqual((await namesIn(commands, '/replaced')).sort(), [...names].sort());
    await checkWhole(
      t,
      commands,
      names.map((name) => `/replaced/${name}`),
      [old, bytes],
    );
  },
);

withCommands('put that is interrupted leaves what was there, and nothing else', async (t, commands) => {
  const old = Buffer.from('what was there before');
  const bytes = randomBytes(6 * MiB);
  writeFileSync(join(commands.directory, 'old'), old);
  writeFileSync(join(commands.directory, 'source'), bytes);
  await commands.gfs('mkdir', '/interrupted');
  const names = Array.from({ length: INTERRUPT_COUNT }, (_, index) => `/interrupted/${index}`);
  for (const name of names) await commands.gfs('put', 'old', name);
  const wholeMs = await timed(commands, ['put', 'source', '/first']);
  await ended(commands, { count: INTERRUPT_COUNT, signal: 'SIGINT', wholeMs }, (index) => [
    ...['put', 'source', `/interrupted/${index}`],
  ]);
  t.is((await namesIn(commands, '/interrupted')).length, INTERRUPT_COUNT);
  await checkWhole(t, commands, names, [old, bytes]);
});

withCommands('get that is interrupted leaves what was there, and nothing else', async (t, commands) => {
  const old = Buffer.from('what was there before');
  const bytes = randomBytes(6 * MiB);
  writeFileSync(join(commands.directory, 'source'), bytes);
  await commands.gfs('put', 'source', '/got');
  const directory = join(commands.directory, 'got');
  mkdirSync(directory);
  const wholeMs = await timed(commands, ['get', '/got', 'whole']);
  for (let index = 0; index < INTERRUPT_COUNT; index += 1) writeFileSync(join(directory, `${index}`), old);
  await ended(commands, { count: INTERRUPT_COUNT, signal: 'SIGTERM', wholeMs }, (index) => [
    ...['get', '/got', `got/${index}`],
  ]);
  const names = readdirSync(directory);
  t.is(names.length, INTERRUPT_COUNT);
  for (const name of names) {
    const found = readFileSync(join(directory, name));
    t.true(found.equals(old) || found.equals(bytes));
  }
});

withCommands('a command that is ended by a signal ends by it', async (t, commands) => {
  const running = commands.start(['put', '-', '/from-nobody']);
  running.stdin.write('some');
  while (!(await commands.gfs('status')).includes('gfs put')) await sleep(20);
  running.kill('SIGINT');
  const [code, signal] = await once(running, 'close');
  t.deepEqual([code, signal], [null, 'SIGINT']);
  t.is((await commands.call(['ls', '/from-nobody'])).code, 1);
});
