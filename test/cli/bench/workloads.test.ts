import test from 'ava';
import { silentLogger } from '../../../src/base/log.ts';
import { NodeEnv } from '../../../src/base/node-env.ts';
import { KiB, MiB } from '../../../src/base/units.ts';
import { FIGURES } from '../../../src/cli/bench/figures.ts';
import type { Ground, GroundFile, OpenHow } from '../../../src/cli/bench/ground.ts';
import { measure } from '../../../src/cli/bench/measure.ts';
import { Workloads } from '../../../src/cli/bench/workloads.ts';

const env = new NodeEnv(silentLogger);
const check = () => undefined;
const LONG_MS = 60_000;

/** Files in memory. `spoil` may change what is read. */
class MemoryGround implements Ground {
  readonly files = new Map<string, Buffer>();
  forgotten = 0;
  spoil: (bytes: Buffer) => Buffer = (bytes) => bytes;

  makeDirectory(): void {}

  open(path: string, how: OpenHow): GroundFile {
    const there = this.files.get(path);
    if (how === 'create' ? there !== undefined : how !== 'append' && there === undefined) {
      throw new Error(`${path}: ${how}`);
    }
    if (there === undefined) this.files.set(path, Buffer.alloc(0));
    const get = () => this.files.get(path) ?? Buffer.alloc(0);
    const put = (offset: number, bytes: Buffer) => {
      const grown = Buffer.alloc(Math.max(get().length, offset + bytes.length));
      get().copy(grown);
      bytes.copy(grown, offset);
      this.files.set(path, grown);
    };
    return {
      read: (offset, length) => [this.spoil(Buffer.from(get().subarray(offset, offset + length)))],
      write: put,
      append: (bytes) => put(get().length, bytes),
      sync: () => undefined,
      close: () => undefined,
    };
  }

  stat(path: string): number | undefined {
    return this.files.get(path)?.length;
  }

  unlink(path: string): void {
    if (!this.files.delete(path)) throw new Error(`${path} is not there`);
  }

  forget(): void {
    this.forgotten += 1;
  }

  close(): void {}
}

function start(ground: Ground): Promise<Workloads> {
  return Workloads.start({ env, ground, index: 0, sizeBytes: 2 * MiB, fileCount: 10, check });
}

test('each figure can follow each other one, and does all there is to do', async (t) => {
  const ground = new MemoryGround();
  const workloads = await start(ground);
  const counts = { write: 2, read: 2, randwrite: 512, randread: 512, append: 512 };
  const backAndForth = [...FIGURES, ...[...FIGURES].reverse(), ...FIGURES];
  for (const [step, { name }] of backAndForth.entries()) {
    const work = await workloads.prepare(name, `step-${step}`);
    const { operations, latenciesMs } = await measure(env, work, { timeMs: LONG_MS, check });
    t.is(operations, name in counts ? counts[name as keyof typeof counts] : 10, name);
    t.is(latenciesMs.length, operations);
    if (name === 'append') t.is(ground.files.get(`step-${step}`)?.length, 512 * 4 * KiB);
  }
  t.is(ground.forgotten, backAndForth.filter(({ cold }) => cold).length);
});

test('what was begun is gone on with when the time was over before all was done', async (t) => {
  const ground = new MemoryGround();
  const workloads = await start(ground);
  const small = () => [...ground.files.keys()].filter((path) => path.includes('file-')).length;
  for (const name of ['create', 'remove', 'stat', 'remove', 'create', 'open'] as const) {
    const work = await workloads.prepare(name, name);
    const done = await measure(env, work, { timeMs: 0.001, check });
    t.true(done.operations >= 1 && done.operations <= 10);
    if (name === 'create') t.is(small(), done.operations);
    if (name === 'remove') t.is(small(), 10 - done.operations);
  }
  t.is(small(), 10);
});

test('bytes that are not those that were written, or too few, end it', async (t) => {
  for (const name of ['read', 'randread', 'open'] as const) {
    const ground = new MemoryGround();
    const workloads = await start(ground);
    const work = await workloads.prepare(name, name);
    for (const spoil of [(bytes: Buffer) => bytes.fill(0, 0, 8), (bytes: Buffer) => bytes.subarray(1)]) {
      ground.spoil = spoil;
      await t.throwsAsync(measure(env, work, { timeMs: LONG_MS, check }), {
        message: /^a read of \d+ bytes at \d+ brought (other bytes than were written|\d+ bytes)$/,
      });
    }
  }
});

test('a small file that is gone or has another length ends it', async (t) => {
  const ground = new MemoryGround();
  const workloads = await start(ground);
  const work = await workloads.prepare('stat', 'stat');
  ground.files.set('client-0/file-3', Buffer.alloc(5));
  await t.throwsAsync(measure(env, work, { timeMs: LONG_MS, check }), { message: /file-3.* has 5 bytes$/ });
  ground.files.delete('client-0/file-3');
  await t.throwsAsync(measure(env, work, { timeMs: LONG_MS, check }), { message: /file-3.* is not there$/ });
});

test('a client ends in the midst when nobody wants the figures any more', async (t) => {
  const work = { count: 1e9, act: () => undefined };
  const gone = () => {
    throw new Error('gone');
  };
  await t.throwsAsync(measure(env, work, { timeMs: LONG_MS, check: gone }), { message: 'gone' });
});
