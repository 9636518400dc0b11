// The table of replica-recovery.ts, letter by letter, and every damage that one bit or one cut can do to a log.
import test from 'ava';
import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import { codeOf } from '../../src/base/errors.ts';
import { replicaPaths } from '../../src/storage/replica-files.ts';
import { type RecoveredReplica, recoverReplica } from '../../src/storage/replica-recovery.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';
import { BASE, buildLog, CHUNK, EPOCH, type LogStep, STEPS, textOf } from './replica-log.ts';

const ROOT = '/data/chunks';
const PATHS = replicaPaths(ROOT, CHUNK);

interface Given {
  readonly log?: Uint8Array | undefined;
  readonly data?: Uint8Array | undefined;
  /** Another one than the log's: power was lost. */
  readonly epoch?: string;
  /** Not a byte is left. */
  readonly fullDisk?: boolean;
}

interface Found {
  readonly found: RecoveredReplica | undefined;
  readonly error: string | undefined;
  readonly files: string[];
  /** The same again, by the next process. */
  readonly again: RecoveredReplica | undefined;
}

const simulation = new Simulation(1);

async function recover({ log, data, epoch = EPOCH, fullDisk = false }: Given): Promise<Found> {
  const sim = new SimDisk(simulation, 'machine');
  sim.names.makeDirectory(PATHS.directory);
  if (log !== undefined) sim.names.createFile(PATHS.log).write(Buffer.from(log), 0);
  if (data !== undefined) sim.names.createFile(PATHS.data).write(Buffer.from(data), 0);
  if (fullDisk) sim.capacityBytes = sim.names.usedBytes();
  const disk = sim.processView(new SimEnv(simulation, 'process'));
  const names = {
    writable: () => undefined,
    make: async () => {},
    syncNames: (path: string) => disk.syncDirectory(path),
  };
  const open = () =>
    recoverReplica({ place: { disk, names, paths: PATHS }, chunk: CHUNK, epoch, synced: false });
  return await simulation.run(async () => {
    try {
      const found = await open();
      const files = await disk.list(PATHS.directory);
      return { found, error: undefined, files, again: found === undefined ? undefined : await open() };
    } catch (error) {
      return {
        found: undefined,
        error: codeOf(error),
        files: await disk.list(PATHS.directory),
        again: undefined,
      };
    }
  });
}

const whole = buildLog();

/** The base and one record that has its data in the data file. */
const EXTENSION = Buffer.alloc(70_000, 'extension');
const withData = buildLog([
  ...STEPS.slice(0, 1),
  extension(EXTENSION),
  { record: { kind: 'seal', serial: 1, length: 1, writtenAtMs: 9 }, data: Buffer.alloc(0) },
]);

function extension(data: Buffer): LogStep {
  const chunkOffset = BASE.length;
  const [first = 0, ...rest] = checksumsOf([data], chunkOffset);
  // The base's only block goes on; blocks that begin in the data have its checksums.
  const sums = [crc32(data.subarray(0, 65_536 - chunkOffset), BASE.sums[0] ?? first), ...rest];
  return {
    record: {
      kind: 'write',
      ...{ serial: 0, chunkOffset, length: data.length, place: 'data', sums, append: undefined },
      writtenAtMs: 8,
    },
    data: Buffer.alloc(0),
  };
}

function dataFile(data: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(BASE.length), data]);
}

test('A: without a log there is no replica, and a data file alone is removed', async (t) => {
  const { found, files } = await recover({ data: Buffer.from('left by an interrupted creation') });
  t.is(found, undefined);
  t.deepEqual(files, []);
});

test('B: a log that ends in its base was never acknowledged', async (t) => {
  const [end = 0] = whole.ends;
  for (let length = 0; length < end; length += 1) {
    const { found, files, error } = await recover({
      log: whole.bytes.subarray(0, length),
      data: Buffer.from('x'),
    });
    t.is(error, undefined);
    t.is(found, undefined);
    t.deepEqual(files, []);
  }
});

test('C: with a damaged base the replica is lost, and its files are kept', async (t) => {
  const log = Buffer.from(whole.bytes);
  log.writeUInt8(log.readUInt8(40) ^ 1, 40);
  const { error, files } = await recover({ log, data: Buffer.from('x') });
  t.is(error, 'CORRUPT');
  t.is(files.length, 2);
});

test('D: a whole log is taken as recorded', async (t) => {
  const { found, again } = await recover({ log: whole.bytes });
  t.is(found?.found, 'D');
  t.is(found?.content.whole, true);
  t.is(found && textOf(found.content), whole.states.at(-1));
  t.is(again?.found, 'D');
});

test('D: without a loss of power, data is not looked at: reads will verify it', async (t) => {
  const { found } = await recover({ log: withData.bytes, data: dataFile(Buffer.alloc(70_000, 'other')) });
  t.is(found?.found, 'D');
  t.is(found?.content.length, BASE.length + 70_000);
});

test('E: the log cut at any byte gives the records before the cut, whole', async (t) => {
  const [end = 0] = whole.ends;
  for (let length = end; length < whole.bytes.length; length += 1) {
    const { found, again } = await recover({ log: whole.bytes.subarray(0, length) });
    const count = whole.ends.filter((at) => at <= length).length;
    const isTorn = !whole.ends.includes(length);
    t.is(found?.found, isTorn ? 'E' : 'D');
    t.is(found && textOf(found.content), whole.states[count - 1]);
    t.is(found?.content.whole, true);
    t.is(again?.found, 'D');
  }
});

test('C, F: any flipped bit gives the records before it, not whole, or a refusal', async (t) => {
  const [end = 0] = whole.ends;
  for (let bit = 0; bit < whole.bytes.length * 8; bit += 1) {
    const log = Buffer.from(whole.bytes);
    const at = Math.floor(bit / 8);
    log.writeUInt8(log.readUInt8(at) ^ (1 << (bit % 8)), at);
    const { found, error, again } = await recover({ log });
    if (at < end) {
      if (error !== 'CORRUPT') return t.fail(`bit ${bit}: ${error}`);
      continue;
    }
    const count = whole.ends.filter((recordEnd) => recordEnd <= at).length;
    const isPrefix =
      found !== undefined && withoutEpoch(textOf(found.content)) === withoutEpoch(whole.states[count - 1]);
    if (found?.found !== 'F' || !isPrefix || found.content.whole)
      return t.fail(`bit ${bit}: ${found?.found}`);
    // The next process must not take the shortened log for a whole one.
    if (again?.found !== 'D' || again.content.whole) return t.fail(`bit ${bit}, again: ${again?.found}`);
  }
  return t.pass();
});

test('G: after a loss of power, data that matches its records is taken, but the replica is not whole', async (t) => {
  const { found } = await recover({ log: withData.bytes, data: dataFile(EXTENSION), epoch: 'after' });
  t.is(found?.found, 'G');
  t.is(found?.content.whole, false);
  t.is(found && textOf(found.content), withData.states.at(-1));
});

test('H: after a loss of power, the log is cut where the data does not match', async (t) => {
  const torn = dataFile(EXTENSION);
  torn.writeUInt8(1, torn.length - 1);
  for (const data of [torn, torn.subarray(0, torn.length - 1), undefined]) {
    const { found, again } = await recover({ log: withData.bytes, data, epoch: 'after' });
    t.is(found?.found, 'H');
    t.is(found?.content.whole, false);
    t.is(found?.content.length, BASE.length);
    // Now of this epoch, so that what follows is believed; and still not whole.
    t.is(again?.found, 'D');
    t.is(again?.content.whole, false);
  }
});

test('H: data before the last mark is on disk, and is not read again', async (t) => {
  const log = buildLog([
    ...STEPS.slice(0, 1),
    extension(EXTENSION),
    { record: { kind: 'mark', epoch: EPOCH, whole: true }, data: Buffer.alloc(0) },
  ]);
  const { found } = await recover({ log: log.bytes, data: dataFile(Buffer.alloc(70_000)), epoch: 'after' });
  t.is(found?.found, 'G');
  t.is(found?.content.length, BASE.length + 70_000);
});

test('I: after a loss of power, a torn or damaged tail is cut', async (t) => {
  const damaged = Buffer.concat([whole.bytes, Buffer.alloc(20)]);
  for (const log of [whole.bytes.subarray(0, whole.bytes.length - 1), damaged]) {
    const { found, again } = await recover({ log, epoch: 'after' });
    t.is(found?.found, 'I');
    t.is(found?.content.whole, false);
    t.is(again?.found, 'D');
    t.is(again?.content.whole, false);
  }
});

test('F, H, I: on a full disk a log is rewritten in place, where what does not count leaves room', async (t) => {
  const flipped = Buffer.from(whole.bytes);
  const [at = 0] = whole.ends;
  flipped.writeUInt8(flipped.readUInt8(at + 1) ^ 1, at + 1);
  const cases = [
    { log: flipped, found: 'F' as const },
    { log: withData.bytes, data: dataFile(Buffer.alloc(70_000)), epoch: 'after', found: 'H' as const },
    { log: flipped, epoch: 'after', found: 'I' as const },
  ];
  for (const { found, ...given } of cases) {
    const roomy = await recover(given);
    const full = await recover({ ...given, fullDisk: true });
    t.is(full.error, undefined);
    t.is(full.found?.found, found);
    t.deepEqual(full.found && textOf(full.found.content), roomy.found && textOf(roomy.found.content));
    t.is(full.again?.found, 'D');
    t.is(full.again?.content.whole, false);
    t.deepEqual(full.again && textOf(full.again.content), roomy.again && textOf(roomy.again.content));
    t.deepEqual(full.files, roomy.files);
  }
  const shortTail = Buffer.concat([whole.bytes, Buffer.alloc(3)]);
  t.is((await recover({ log: shortTail, epoch: 'after', fullDisk: true })).error, 'NO_SPACE');
});

test('J: without its data file, or with a short one, a replica is not whole', async (t) => {
  for (const data of [undefined, dataFile(EXTENSION).subarray(0, 60_000)]) {
    const { found } = await recover({ log: withData.bytes, data });
    t.is(found?.content.whole, false);
  }
});

/** A rewritten log ends in a mark of the present epoch. */
function withoutEpoch(text: string | undefined): string | undefined {
  return text?.replace(/"epoch":"[^"]*",/, '');
}
