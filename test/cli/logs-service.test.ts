// The log of a daemon: what it writes, what it keeps, and how others see and change that.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { COMPONENTS_OF, type Logger, silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { ProcessLog } from '../../src/cli/logger.ts';
import { logsService } from '../../src/cli/logs-service.ts';
import { type Event, LogsDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Connection } from '../../src/rpc/network.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';

const { getLevels, setLevel, listEvents } = LogsDefinition.methods;
const ALL = { level: '', component: '', limit: 0, follow: false };

interface World {
  readonly log: Logger;
  readonly connection: Connection;
  /** What was written so far. */
  written(): Record<string, unknown>[];
  events(wanted?: Partial<typeof ALL>): Promise<Event[]>;
}

/** A log that shows warnings, and its service. */
async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-log-'));
  const path = join(directory, 'log');
  const fd = openSync(path, 'a');
  const name = 'gfs-master';
  const log = new ProcessLog({ name, level: 'warn', pretty: false, fd, components: COMPONENTS_OF[name] });
  const network = new NodeNetwork({ env: new NodeEnv(silentLogger), services: [logsService(name, log)] });
  const listener = await network.listen('127.0.0.1:0', []);
  const connection = network.connect(listener.address);
  const linesOf = (text: string) => text.split('\n').slice(0, -1);
  try {
    await work({
      log: log.logger,
      connection,
      written: () => linesOf(readFileSync(path, 'utf8')).map((line) => JSON.parse(line)),
      events: async (wanted) => {
        const stream = connection.stream(listEvents);
        await stream.send({ ...ALL, ...wanted });
        stream.end();
        const found: Event[] = [];
        for await (const { message } of stream.answers) found.push(...message.events);
        return found;
      },
    });
  } finally {
    await connection.close();
    await listener.close();
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
}

const messages = (events: readonly Event[]) => events.map(({ message }) => message);

test('each part of a daemon has a level of its own, which can be set while it runs', async (t) => {
  await inWorld(async ({ log, connection, written }) => {
    const levelsNow = async () => {
      const { message } = await connection.call(getLevels, {});
      t.is(message.program, 'gfs-master');
      t.true(message.components.every(({ about }) => about !== ''));
      return Object.fromEntries(message.components.map(({ component, level }) => [component, level]));
    };
    const all = (level: string) =>
      Object.fromEntries(COMPONENTS_OF['gfs-master'].map((name) => [name, level]));
    t.deepEqual(await levelsNow(), all('warn'));
    log.of('raise').info({}, 'not shown');
    t.false(log.of('rpc').debugs);

    await connection.call(setLevel, { level: 'debug', component: 'rpc' });
    t.deepEqual(await levelsNow(), { ...all('warn'), rpc: 'debug' });
    t.true(log.of('rpc').debugs);
    log.of('rpc').debug({ method: 'Lookup' }, 'a call ended');
    log.of('raise').debug({}, 'not shown');
    log.of('raise').warn({ chunk: '1f' }, 'shown');
    t.deepEqual(
      written().map(({ name, component, msg }) => [name, component, msg]),
      [
        ['gfs-master', 'rpc', 'a call ended'],
        ['gfs-master', 'raise', 'shown'],
      ],
    );
    await connection.call(setLevel, { level: 'error', component: '' });
    t.deepEqual(await levelsNow(), all('error'));
  });
});

test('what is no level, and a component that the daemon does not have, are refused and change nothing', async (t) => {
  await inWorld(async ({ connection }) => {
    const refused = async (request: { level: string; component: string }, message: RegExp) =>
      await t.throwsAsync(connection.call(setLevel, request), { instanceOf: GfsError, message });
    await refused(
      { level: 'loud', component: '' },
      /^"loud" is no level: there are debug, info, warn, error$/,
    );
    await refused({ level: '', component: 'rpc' }, /is no level/);
    await refused(
      { level: 'debug', component: 'mount' },
      /^gfs-master has no component "mount", but daemon, rpc/,
    );
    const { message } = await connection.call(getLevels, {});
    t.true(message.components.every(({ level }) => level === 'warn'));
  });
});

test('a port without a service of its own has that one, and says what it is not', async (t) => {
  await inWorld(async ({ connection }) => {
    const { status } = MasterDefinition.methods;
    await t.throwsAsync(connection.call(status, {}), { message: /is not a gfs master$/ });
  });
});

test('events are kept also where the log does not show them, with their fields', async (t) => {
  await inWorld(async ({ log, connection, events }) => {
    log.of('raise').info({ chunk: '1f', version: 3, error: new GfsError('IO_ERROR', 'broken') }, 'raised');
    log.of('rpc').debug({}, 'not kept: the level does not let it through');
    log.of('repair').error({ error: new TypeError('a bug') }, 'failed');
    const [raised, failed] = await events();
    t.like(raised, { number: 1, level: 'info', component: 'raise', message: 'raised' });
    t.deepEqual(JSON.parse(raised?.fields ?? ''), { chunk: '1f', version: 3, error: 'broken' });
    t.true(Math.abs(Date.now() - (raised?.timeMs ?? 0)) < 60_000);
    t.regex(JSON.parse(failed?.fields ?? '').error, /^TypeError: a bug\n +at /);
    await connection.call(setLevel, { level: 'debug', component: 'rpc' });
    log.of('rpc').debug({}, 'a call ended');
    t.deepEqual(messages(await events()), ['raised', 'failed', 'a level of the log was set', 'a call ended']);
    t.deepEqual(messages(await events({ level: 'warn' })), ['failed']);
    t.deepEqual(messages(await events({ component: 'raise' })), ['raised']);
    t.deepEqual(messages(await events({ component: 'mount' })), [], 'another daemon has it');
    t.deepEqual(messages(await events({ level: 'info', limit: 2 })), [
      'failed',
      'a level of the log was set',
    ]);
    await t.throwsAsync(events({ component: 'nonsense' }), { message: /no component "nonsense"/ });
    await t.throwsAsync(events({ level: 'loud' }), { message: /"loud" is no level/ });
  });
});

test('who follows gets what was there, then what comes, until he has enough', async (t) => {
  await inWorld(async ({ log, connection }) => {
    log.of('raise').info({}, 'before');
    const stream = connection.stream(listEvents);
    await stream.send({ ...ALL, level: 'info', follow: true });
    stream.end();
    const answers = stream.answers[Symbol.asyncIterator]();
    const next = async () => {
      const { events, missed, caughtUp } = (await answers.next()).value.message;
      return [messages(events), missed, caughtUp];
    };
    t.deepEqual(await next(), [['before'], false, false]);
    t.deepEqual(await next(), [[], false, true]);
    log.of('raise').info({}, 'first');
    t.deepEqual(await next(), [['first'], false, true]);
    log.of('repair').warn({}, 'second');
    t.deepEqual(await next(), [['second'], false, true]);
    stream.cancel();
    await t.throwsAsync(answers.next(), { message: /cancelled/ });
  });
});

test('who follows too slowly is told that he missed some', async (t) => {
  await inWorld(async ({ log, connection }) => {
    const stream = connection.stream(listEvents);
    await stream.send({ ...ALL, follow: true });
    stream.end();
    const answers = stream.answers[Symbol.asyncIterator]();
    t.true((await answers.next()).value.message.caughtUp);
    // In one turn, so that nobody can take any of them.
    for (let index = 0; index < 3000; index += 1) log.of('raise').info({ index }, 'raised');
    const { missed, events } = (await answers.next()).value.message;
    t.true(missed);
    t.is(JSON.parse(events[0]?.fields ?? '').index, 1000);
    t.false((await answers.next()).value.message.missed);
    stream.cancel();
  });
});
