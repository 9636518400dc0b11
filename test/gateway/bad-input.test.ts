// Each wrong call gets one error that a program can branch on, and leaves everything as it was.
import test from 'ava';
import { KiB, MiB } from '../../src/base/units.ts';
import { FilesDefinition, FilesWriteKind } from '../../src/rpc/messages.ts';
import { pattern } from '../client/world.ts';
import { codeFrom, inFilesWorld, type Program, ROOT, Writing } from './world.ts';

const IN_PLACE = FilesWriteKind.FILES_WRITE_KIND_IN_PLACE;
const TRUNCATE = FilesWriteKind.FILES_WRITE_KIND_TRUNCATE;
const LONG = 'x'.repeat(256);

test('wrong paths, kinds and ranges', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    await program.mkdir('/d');
    await program.write('/d/f', [pattern(1000)]);
    const before = await everything(program);

    for (const path of ['', 'd/f', './d', '/d/\0', '/d/f\0', `/d/${LONG}`, `/${'d/'.repeat(2048)}`]) {
      const expected = path.includes(LONG) || path.length > 4096 ? 'NAME_TOO_LONG' : 'INVALID_ARGUMENT';
      const calls = [
        program.stat(path),
        program.list(path),
        program.read(path),
        program.write(path, [pattern(1)]),
        program.write(path, [pattern(1)], { kind: TRUNCATE }),
        program.write(path, [pattern(1)], { kind: IN_PLACE }),
        program.mkdir(path),
        program.mkdir(path, { parents: true }),
        program.remove(path, { recursive: true }),
        program.rename(path, '/new'),
        program.rename('/d/f', path),
      ];
      for (const [index, call] of calls.entries()) {
        t.is(await codeFrom(call), expected, `call ${index} with ${JSON.stringify(path.slice(0, 10))}`);
      }
    }
    t.is(await codeFrom(program.mkdir(`/new/deep/${LONG}`, { parents: true })), 'NAME_TOO_LONG');

    const cases: [string, Promise<unknown>][] = [
      ['NOT_FOUND', program.stat('/none')],
      ['NOT_FOUND', program.list('/none')],
      ['NOT_FOUND', program.read('/none')],
      ['NOT_FOUND', program.remove('/none')],
      ['NOT_FOUND', program.rename('/none', '/other')],
      ['NOT_FOUND', program.rename('/d/f', '/none', { exchange: true })],
      ['NOT_FOUND', program.mkdir('/none/x')],
      ['NOT_FOUND', program.write('/none/x', [])],
      ['NOT_DIRECTORY', program.list('/d/f')],
      ['NOT_DIRECTORY', program.stat('/d/f/')],
      ['NOT_DIRECTORY', program.stat('/d/f/x')],
      ['NOT_DIRECTORY', program.mkdir('/d/f/x/y', { parents: true })],
      ['NOT_DIRECTORY', program.rename('/d/f', '/g/')],
      ['EXISTS', program.mkdir('/d/f', { parents: true })],
      ['EXISTS', program.mkdir('/')],
      ['IS_DIRECTORY', program.read('/d')],
      ['IS_DIRECTORY', program.write('/d', [pattern(1)])],
      ['IS_DIRECTORY', program.write('/d', [pattern(1)], { kind: TRUNCATE })],
      ['IS_DIRECTORY', program.write('/d', [pattern(1)], { kind: IN_PLACE })],
      ['IS_DIRECTORY', program.write('/g/', [pattern(1)])],
      ['IS_DIRECTORY', program.write('/', [pattern(1)])],
      ['INVALID_ARGUMENT', program.remove('/')],
      ['INVALID_ARGUMENT', program.remove('/', { recursive: true })],
      ['INVALID_ARGUMENT', program.remove('/d/.', { recursive: true })],
      ['INVALID_ARGUMENT', program.remove('/d/..', { recursive: true })],
      ['INVALID_ARGUMENT', program.rename('/', '/x')],
      ['INVALID_ARGUMENT', program.rename('/d/f', '/d/f2', { noReplace: true, exchange: true })],
      ['INVALID_ARGUMENT', program.write('/g', [], { offset: 1 })],
      ['INVALID_ARGUMENT', program.write('/g', [], { kind: TRUNCATE, offset: 1 })],
      ['INVALID_ARGUMENT', program.write('/d/f', [], { kind: IN_PLACE, exclusive: true })],
      ['INVALID_ARGUMENT', program.write('/g', [], { kind: 9 as typeof IN_PLACE })],
      ['INVALID_ARGUMENT', program.write('/g', [], { mode: 0o10000 })],
      ['INVALID_ARGUMENT', program.mkdir('/g', { mode: 0o10000 })],
      ['INVALID_ARGUMENT', program.write('/g', [pattern(10)], { length: 9 })],
      ['INVALID_ARGUMENT', program.write('/g', [pattern(10)], { length: 11 })],
      ['INVALID_ARGUMENT', program.read('/d/f', { offset: 1001 })],
    ];
    for (const [index, [expected, call]] of cases.entries())
      t.is(await codeFrom(call), expected, `case ${index}`);
    const far = Number.MAX_SAFE_INTEGER - 1;
    t.is(
      await codeFrom(program.write('/d/f', [pattern(2)], { kind: IN_PLACE, offset: far })),
      'INVALID_ARGUMENT',
    );
    t.deepEqual(await everything(program), before);
    t.deepEqual(await program.read('/d/f'), pattern(1000));
  }));

test('a Write begins with `start`, and has one; an atomic one ends as was announced', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    const writing = () => new Writing(program.connection.stream(FilesDefinition.methods.write));
    t.is(await codeFrom(writing().finish({ last: false })), 'INVALID_ARGUMENT');
    const headless = writing();
    await headless.send(pattern(10));
    t.is(await codeFrom(headless.finish()), 'INVALID_ARGUMENT');
    const twice = program.openWrite('/f');
    await twice.send(pattern(10));
    await twice.start('/g');
    t.is(await codeFrom(twice.finish()), 'INVALID_ARGUMENT');
    for (const more of [{}, { length: 20 }]) {
      const endless = program.openWrite('/f', more);
      await endless.send(pattern(10));
      t.is(
        await codeFrom(endless.finish({ last: false })),
        'INVALID_ARGUMENT',
        'its end may be that of a broken one',
      );
    }
    t.deepEqual(await everything(program), []);
    const announced = program.openWrite('/f', { length: 10 });
    await announced.send(pattern(10));
    t.is((await announced.finish({ last: false })).attributes?.length, 10);
    const changed = program.openWrite('/f', { kind: IN_PLACE });
    await changed.send(pattern(20));
    t.is((await changed.finish({ last: false })).attributes?.length, 20);
  }));

test('a stream that breaks leaves nothing of an atomic write, and the old file as it was', (t) =>
  inFilesWorld(async ({ as, killProgram, cluster }) => {
    const program = await as(ROOT);
    await program.write('/old', [pattern(1000)]);
    const before = await everything(program);
    const inodes = async () => (await cluster.client.status()).inodeCount;
    const count = await inodes();
    for (const path of ['/old', '/new']) {
      const cancelled = program.openWrite(path);
      await cancelled.send(pattern(900 * KiB));
      cancelled.stream.cancel();
      t.is(await codeFrom(cancelled.finish()), 'CANCELLED');
      const expired = program.openWrite(path, {}, { deadlineMs: program.env.monotonicMs() + 500 });
      await expired.send(pattern(300 * KiB));
      await cluster.sleep(1000);
      t.is(await codeFrom(expired.finish()), 'DEADLINE_EXCEEDED');
      const other = await as(ROOT);
      const broken = other.openWrite(path);
      await broken.send(pattern(10));
      killProgram(other);
    }
    await cluster.sleep(5000);
    t.deepEqual(await everything(program), before);
    t.deepEqual(await program.read('/old'), pattern(1000));
    t.is(await inodes(), count, 'files without names are gone, too');
  }));

test('a gateway that dies in the midst of an atomic write leaves nothing either', (t) =>
  inFilesWorld(async ({ as, killGateway, cluster }) => {
    const program = await as(ROOT);
    await program.write('/old', [pattern(1000)]);
    const other = await as(ROOT);
    const count = (await cluster.client.status()).inodeCount;
    const writing = other.openWrite('/old');
    await writing.send(pattern(2 * MiB));
    killGateway(other);
    t.is(await codeFrom(writing.finish()), 'UNAVAILABLE');
    await cluster.sleep(90_000);
    t.deepEqual((await program.list('/')).names, ['old']);
    t.deepEqual(await program.read('/old'), pattern(1000));
    t.is((await cluster.client.status()).inodeCount, count);
  }));

test('deadlines and cancellation reach a call that waits for the master', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    await program.write('/f', [pattern(10)]);
    cluster.kill('m');
    const { env } = program;
    const began = env.monotonicMs();
    t.is(await codeFrom(program.stat('/f', {}, { deadlineMs: began + 3000 })), 'DEADLINE_EXCEEDED');
    t.true(env.monotonicMs() - began < 4000);
    const abort = new AbortController();
    const cancelled = program.read('/f', {}, { signal: abort.signal });
    await cluster.sleep(500);
    abort.abort();
    t.is(await codeFrom(cancelled), 'CANCELLED');
    t.is(await codeFrom(program.mkdir('/a/b', { parents: true })), 'DEADLINE_EXCEEDED', 'after a minute');
    const waiting = program.stat('/f');
    await cluster.start('m');
    t.is((await waiting).attributes?.length, 10);
    t.deepEqual((await program.list('/')).names, ['f']);
  }));

/** Every path, with what is there, but for times of access. */
async function everything(program: Program): Promise<readonly unknown[]> {
  const { entries } = await program.list('/', { recursive: true, withAttributes: true });
  return entries.map(({ path, attributes }) => [path.toString(), attributes?.inode, attributes?.mtime]);
}

test('a gateway that dies at any moment leaves the old file or the new one, and no other name', (t) =>
  inFilesWorld(async ({ as, killGateway, cluster }) => {
    const program = await as(ROOT);
    const fates = new Map([
      ['old', 0],
      ['new', 0],
    ]);
    const begunMs = program.env.monotonicMs();
    let bytes = pattern(1000);
    await program.write('/f', [bytes]);
    await program.write('/f', [bytes]);
    const wholeMs = (program.env.monotonicMs() - begunMs) / 2;
    const random = cluster.simulation.random.fork('moments');
    for (let round = 0; round < 50; round += 1) {
      const next = pattern(1000 + round, round);
      const other = await as(ROOT);
      const writing = other.openWrite('/f');
      await writing.send(next);
      const finished = codeFrom(writing.finish());
      await cluster.sleep(random.next() * wholeMs);
      killGateway(other);
      await finished;
      // What it had sent may still arrive.
      await cluster.sleep(1000);
      const found = await program.read('/f');
      const fate = found.equals(next) ? 'new' : 'old';
      if (fate === 'old') t.deepEqual(found, bytes, `round ${round}`);
      else bytes = next;
      fates.set(fate, (fates.get(fate) ?? 0) + 1);
      t.deepEqual((await program.list('/')).names, ['f'], `round ${round}`);
    }
    t.true(
      [...fates.values()].every((count) => count > 5),
      JSON.stringify([...fates]),
    );
  }));
