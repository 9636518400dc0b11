import { Buffer } from 'node:buffer';
import test, { type ExecutionContext } from 'ava';
import { crc32 } from '../../src/base/crc.ts';
import type { Disk } from '../../src/base/disk.ts';
import { GfsError } from '../../src/base/errors.ts';
import { makeDurableDirectory } from '../../src/storage/directories.ts';
import { Oplog } from '../../src/storage/oplog.ts';
import { decodeBatch } from '../../src/storage/oplog-format.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';
import { readFile, writeFile } from './disk-compliance.ts';

const DIRECTORY = '/oplog';
const FILESYSTEM = '0123456789abcdef'.repeat(2);

/** Runs on a simulated disk, where everything but the clock is quick. */
function onDisk(body: (disk: Disk) => Promise<void>): Promise<void> {
  const simulation = new Simulation(1);
  const disk = new SimDisk(simulation, 'machine');
  return simulation.run(() => body(disk.processView(new SimEnv(simulation, 'process'))));
}

function open(disk: Disk, { segmentBytes = 1 << 20, fillBytes = 256 } = {}): Promise<Oplog> {
  return Oplog.open({ disk, directory: DIRECTORY, segmentBytes, fillBytes });
}

async function recordsOf(oplog: Oplog, from = 1): Promise<string[]> {
  const found: string[] = [];
  for await (const { firstPosition, records } of oplog.read(from)) {
    for (const [index, record] of records.entries()) {
      if (firstPosition + index >= from) found.push(`${firstPosition + index} ${record.toString('latin1')}`);
    }
  }
  return found;
}

function batch(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text, 'latin1'));
}

async function filesOf(disk: Disk): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of await disk.list(DIRECTORY))
    files.set(name, await readWhole(disk, `${DIRECTORY}/${name}`));
  return files;
}

async function readWhole(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

async function replaceFiles(disk: Disk, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const name of await disk.list(DIRECTORY)) await disk.remove(`${DIRECTORY}/${name}`);
  for (const [name, bytes] of files) {
    const file = await disk.open(`${DIRECTORY}/${name}`, 'exclusive');
    await file.write([bytes], 0);
    await file.close();
  }
}

/** Recovery of what is on the disk: records, or the refusal. Goes on for one record, to see that the log still works. */
async function recovered(disk: Disk): Promise<string[] | GfsError> {
  try {
    const oplog = await open(disk);
    const found = await recordsOf(oplog);
    const position = await oplog.append(batch('next'));
    await oplog.sync();
    await oplog.close();
    const again = await open(disk);
    const more = await recordsOf(again);
    await again.close();
    if (more.join() !== [...found, `${position} next`].join())
      throw new Error(`${more} is not ${found} and one more`);
    return found;
  } catch (error) {
    if (error instanceof GfsError) return error;
    throw error;
  }
}

async function writeLog(disk: Disk, batches: readonly Buffer[][], segmentBytes?: number): Promise<string[]> {
  const oplog = await open(disk, segmentBytes === undefined ? {} : { segmentBytes });
  await oplog.begin(FILESYSTEM);
  for (const records of batches) {
    await oplog.append(records);
    await oplog.sync();
  }
  const all = await recordsOf(oplog);
  await oplog.close();
  return all;
}

const BATCHES = [
  batch('create a', 'create b'),
  batch('GLB2 as a name, or GLB1'),
  batch('unlink a', 'x', 'rename b c'),
];

test('records are read back in order, from any position, over segments', (t) =>
  onDisk(async (disk) => {
    const batches = Array.from({ length: 30 }, (_, index) => batch(`first ${index}`, `second ${index}`));
    const all = await writeLog(disk, batches, 200);
    t.is(all.length, 60);
    t.is(all[0], '1 first 0');
    t.true((await disk.list(DIRECTORY)).length > 5);
    const oplog = await open(disk);
    t.is(oplog.lastPosition, 60);
    t.is(oplog.filesystemId, FILESYSTEM);
    for (let from = 1; from <= 61; from += 1) t.deepEqual(await recordsOf(oplog, from), all.slice(from - 1));

    await oplog.removeBefore(40);
    t.true(oplog.firstPosition > 30 && oplog.firstPosition <= 40);
    t.deepEqual(await recordsOf(oplog, 40), all.slice(39));
    t.is(await oplog.append(batch('more')), 61);
    await oplog.close();
    const again = await open(disk);
    t.deepEqual(await recordsOf(again, 60), [all[59], '61 more']);
    await again.close();
  }));

test('a log that is cut at any byte gives a prefix of whole batches, or refuses', (t) =>
  onDisk(async (disk) => {
    const all = await writeLog(disk, BATCHES);
    const files = await filesOf(disk);
    const [name, bytes] = [...files][0] ?? ['', Buffer.alloc(0)];
    const seen = new Set<number>();
    for (let length = 0; length <= bytes.length; length += 1) {
      await replaceFiles(disk, new Map([[name, bytes.subarray(0, length)]]));
      const found = await recovered(disk);
      if (found instanceof GfsError) {
        mustName(t, found, name);
        t.true(length < 64, 'only a cut header is refused');
        continue;
      }
      t.deepEqual(found, all.slice(0, found.length));
      seen.add(found.length);
    }
    t.deepEqual([...seen], [0, 2, 3, 6], 'batches are whole or absent');
  }));

test('a log with any bit flipped gives all, a prefix without the last batch, or refuses', (t) =>
  onDisk(async (disk) => {
    const all = await writeLog(disk, BATCHES);
    const files = await filesOf(disk);
    const [name, bytes] = [...files][0] ?? ['', Buffer.alloc(0)];
    const outcomes = new Map<string, number>();
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await replaceFiles(disk, new Map([[name, flipped]]));
      const found = await recovered(disk);
      if (found instanceof GfsError) mustName(t, found, name);
      else t.deepEqual(found, all.slice(0, found.length));
      const outcome = found instanceof GfsError ? 'refused' : `${found.length}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    t.deepEqual([...outcomes.keys()].sort(), ['3', '6', 'refused']);
  }));

test('damage in a segment that is not the last one is refused, wherever it is', (t) =>
  onDisk(async (disk) => {
    const batches = Array.from({ length: 6 }, (_, index) => batch(`record ${index}`));
    const all = await writeLog(disk, batches, 100);
    const files = await filesOf(disk);
    t.is(files.size, 6);
    const [first, bytes] = [...files][1] ?? ['', Buffer.alloc(0)];
    const used = 64 + 32 + 4 + 'record 1'.length;
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 0x40;
      await replaceFiles(disk, new Map([...files, [first, flipped]]));
      const found = await recovered(disk);
      if (at < used) mustName(t, found, first);
      else t.deepEqual(found, all, 'the zeros behind the records mean nothing');
    }
    const missing = new Map(files);
    missing.delete(first);
    await replaceFiles(disk, missing);
    t.true((await recovered(disk)) instanceof GfsError);
  }));

test('a segment of another file system or another format is refused', (t) =>
  onDisk(async (disk) => {
    await writeLog(disk, BATCHES);
    const ours = await filesOf(disk);
    for (const name of ours.keys()) await disk.remove(`${DIRECTORY}/${name}`);
    const other = await open(disk, { segmentBytes: 100 });
    await other.begin('f'.repeat(32));
    for (const letter of 'abcdefgh') await other.append(batch(letter));
    await other.close();
    const theirs = await filesOf(disk);
    const last = [...theirs].at(-1) ?? ['', Buffer.alloc(0)];
    await replaceFiles(disk, new Map([...ours, last]));
    mustName(t, await recovered(disk), last[0]);
  }));

test('a log of format 1 is read, damage in it is found, and what follows goes into a new segment', (t) =>
  onDisk(async (disk) => {
    const all = await writeLog(disk, BATCHES);
    const [[name, bytes] = ['', Buffer.alloc(0)]] = await filesOf(disk);
    const old = inFormat1(bytes);
    await replaceFiles(disk, new Map([[name, old]]));
    t.deepEqual(await recovered(disk), all);
    t.deepEqual(await disk.list(DIRECTORY), [name, '00000000000000000007.oplog']);
    const damaged = Buffer.from(old);
    damaged[64 + 24 + 5] = 0xff;
    await replaceFiles(disk, new Map([[name, damaged]]));
    mustName(t, await recovered(disk), name);
  }));

/** The segment as it was written before batches said what was durable. */
function inFormat1(segment: Buffer): Buffer {
  const header = Buffer.from(segment.subarray(0, 64));
  header.writeUInt32LE(1, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 60)), 60);
  const pieces = [header];
  for (let at = 64; ; ) {
    const end = decodeBatch(segment, at)?.end;
    if (end === undefined) return Buffer.concat(pieces);
    const batch = Buffer.concat([segment.subarray(at, at + 24), segment.subarray(at + 32, end)]);
    batch.write('GLB1', 'latin1');
    batch.writeUInt32LE(crc32(batch.subarray(8)), 4);
    pieces.push(batch);
    at = end;
  }
}

test('what is left of a segment that was being made is removed', (t) =>
  onDisk(async (disk) => {
    const all = await writeLog(disk, BATCHES);
    await writeFile(disk, `${DIRECTORY}/00000000000000000007.oplog.new`, 'half a head');
    t.is(await readFile(disk, `${DIRECTORY}/00000000000000000007.oplog.new`), 'half a head');
    t.deepEqual(await recovered(disk), all);
    t.deepEqual(await disk.list(DIRECTORY), ['00000000000000000001.oplog']);
  }));

test('after a power cut at any moment, what was acknowledged is there, and of the rest a prefix', async (t) => {
  const { broken, lost, sites } = await powerCuts();
  t.deepEqual(broken, []);
  t.true(lost > 0, 'the power cuts cut something off');
  t.is(sites.size, 3, [...sites].join());
  for (const site of sites)
    t.true((await powerCuts(site)).broken.length > 0, `the sync at ${site} is needed`);
});

/** One power cut a seed; `without` names a sync that does nothing. */
async function powerCuts(without?: string): Promise<{ broken: string[]; lost: number; sites: Set<string> }> {
  const result = { broken: [] as string[], lost: 0, sites: new Set<string>() };
  for (let seed = 0; seed < 150; seed += 1) {
    const simulation = new Simulation(seed);
    const machine = new SimDisk(simulation, 'machine');
    const writer = machine.processView(new SimEnv(simulation, 'writer'));
    const given: string[] = [];
    let acknowledged = 0;
    const write = async () => {
      const oplog = await open(writer, { segmentBytes: 4000, fillBytes: 700 });
      await oplog.begin(FILESYSTEM);
      for (;;) {
        const first = given.length + 1;
        const records = Array.from({ length: 1 + simulation.random.below(3) }, (_, index) => {
          return 'record '.repeat(simulation.random.below(40)) + (first + index);
        });
        given.push(...records.map((text, index) => `${first + index} ${text}`));
        await oplog.append(batch(...records));
        if (simulation.random.chance(0.8)) continue;
        await oplog.sync();
        acknowledged = given.length;
      }
    };
    const read = async () => {
      const disk = machine.processView(new SimEnv(simulation, 'reader'));
      const found = await recordsOf(await open(disk));
      if (found.length < acknowledged) throw new Error(`${found.length} of ${acknowledged}`);
      if (found.join() !== given.slice(0, found.length).join()) throw new Error('other records');
      if (found.length < given.length) result.lost += 1;
    };
    await simulation.run(async () => {
      await makeDurableDirectory(writer, DIRECTORY);
      machine.ignoreSync = ({ site }) => {
        result.sites.add(site);
        return site === without;
      };
      write().catch(() => undefined);
      await simulation.sleep(simulation.random.between(10, 150));
      machine.powerCut();
      machine.ignoreSync = undefined;
      await read().catch((error: Error) => result.broken.push(`seed ${seed}: ${error.message}`));
    });
  }
  return result;
}

function mustName(t: ExecutionContext, found: unknown, name: string): void {
  t.true(found instanceof GfsError, `${found} is no refusal`);
  if (!(found instanceof GfsError)) return;
  t.is(found.code, 'CORRUPT');
  t.true(found.message.includes(name) && /byte \d+/.test(found.message), found.message);
}
