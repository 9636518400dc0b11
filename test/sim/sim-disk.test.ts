import test from 'ava';
import type { Disk, DiskFile } from '../../src/base/disk.ts';
import { codeFrom, contents, diskCompliance, readFile, writeFile } from '../storage/disk-compliance.ts';
import { SimDisk } from './sim-disk.ts';
import { SimEnv } from './sim-env.ts';
import { Simulation } from './simulation.ts';

const SEEDS = 200;

/** One machine: the disk, and processes on it one after another. */
class Machine {
  readonly simulation: Simulation;
  readonly disk: SimDisk;
  env: SimEnv;
  #starts = 0;

  constructor(seed: number) {
    this.simulation = new Simulation(seed);
    this.disk = new SimDisk(this.simulation, 'machine');
    this.env = new SimEnv(this.simulation, 'process 0');
  }

  start(): Disk {
    this.#starts += 1;
    this.env = new SimEnv(this.simulation, `process ${this.#starts}`);
    return this.disk.processView(this.env);
  }
}

/** Runs `body` for many seeds and collects what it answers. */
async function outcomes(body: (machine: Machine) => Promise<string>): Promise<Set<string>> {
  const found = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const machine = new Machine(seed);
    found.add(await machine.simulation.run(() => body(machine)));
  }
  return found;
}

async function openNew(disk: Disk, path: string): Promise<DiskFile> {
  const file = await disk.open(path, 'create');
  await disk.syncDirectory('/');
  return file;
}

diskCompliance(test, 'SimDisk', (_, body) => {
  const machine = new Machine(1);
  return machine.simulation.run(async () => {
    const disk = machine.start();
    await disk.makeDirectory('/data');
    await body(disk, '/data');
  });
});

test('a killed process loses nothing that was done, and its locks', async (t) => {
  const machine = new Machine(1);
  await machine.simulation.run(async () => {
    const disk = machine.start();
    await disk.lock('/lock');
    await writeFile(disk, '/a', 'written');
    machine.disk.kill(machine.env);
    const next = machine.start();
    t.is(await readFile(next, '/a'), 'written');
    await (await next.lock('/lock')).close();
    t.is(await next.bootId(), await machine.start().bootId());
  });
});

test('what a process had in flight when it was killed is done, half done or not', async (t) => {
  const found = await outcomes(async (machine) => {
    const disk = machine.start();
    const file = await disk.open('/a', 'create');
    void file.write([Buffer.from('12')], 0);
    machine.disk.kill(machine.env);
    return await readFile(machine.start(), '/a');
  });
  t.deepEqual([...found].sort(), ['', '1', '12']);
});

test('what was synced survives a power cut', async (t) => {
  const found = await outcomes(async (machine) => {
    const disk = machine.start();
    const file = await openNew(disk, '/a');
    await file.write([Buffer.from('synced')], 0);
    await file.dataSync();
    const bootId = await disk.bootId();
    machine.disk.powerCut();
    const next = machine.start();
    t.not(await next.bootId(), bootId);
    return await readFile(next, '/a');
  });
  t.deepEqual([...found], ['synced']);
});

test('of unsynced writes each may survive a power cut without the others', async (t) => {
  const found = await outcomes(async (machine) => {
    const file = await openNew(machine.start(), '/a');
    await file.write([Buffer.alloc(2048, '.')], 0);
    await file.dataSync();
    for (const [index, letter] of ['A', 'B', 'C'].entries()) {
      await file.write([Buffer.from(letter)], index * 512);
    }
    machine.disk.powerCut();
    const text = await readFile(machine.start(), '/a');
    return [0, 512, 1024].map((at) => text[at]).join('');
  });
  t.deepEqual([...found].sort(), ['...', '..C', '.B.', '.BC', 'A..', 'A.C', 'AB.', 'ABC']);
});

test('a write that was not synced may be torn at sectors, never inside one', async (t) => {
  const found = await outcomes(async (machine) => {
    const file = await openNew(machine.start(), '/a');
    await file.write([Buffer.alloc(1024, 'o')], 0);
    await file.dataSync();
    await file.write([Buffer.alloc(1024, 'n')], 0);
    machine.disk.powerCut();
    const text = await readFile(machine.start(), '/a');
    return `${new Set(text.slice(0, 512)).size}${new Set(text.slice(512)).size}${text[0]}${text[512]}`;
  });
  t.deepEqual([...found].sort(), ['11nn', '11no', '11on', '11oo']);
});

test('a sync covers what was written before it was asked for, not what came while it ran', async (t) => {
  const found = await outcomes(async (machine) => {
    const file = await openNew(machine.start(), '/a');
    await file.write([Buffer.from('1')], 0);
    machine.disk.slowness = 100;
    const syncing = file.dataSync();
    machine.disk.slowness = 1;
    await file.write([Buffer.from('2')], 512);
    await syncing;
    machine.disk.powerCut();
    const text = await readFile(machine.start(), '/a');
    return `${text[0]}${text[512] === '2'}`;
  });
  t.deepEqual([...found].sort(), ['1false', '1true']);
});

test('a length that was not synced may be any that the file had', async (t) => {
  const found = await outcomes(async (machine) => {
    const file = await openNew(machine.start(), '/a');
    await file.write([Buffer.from('abcd')], 0);
    await file.dataSync();
    await file.truncate(2);
    await file.write([Buffer.from('efgh')], 2);
    machine.disk.powerCut();
    return String((await readFile(machine.start(), '/a')).length);
  });
  t.deepEqual([...found].sort(), ['2', '4', '6']);
});

test('a name is certain only when its directory was synced', async (t) => {
  const body = (sync: boolean) => async (machine: Machine) => {
    const disk = machine.start();
    const file = await disk.open('/a', 'create');
    await file.dataSync();
    if (sync) await disk.syncDirectory('/');
    machine.disk.powerCut();
    return String(await machine.start().exists('/a'));
  };
  t.deepEqual([...(await outcomes(body(true)))], ['true']);
  t.deepEqual([...(await outcomes(body(false)))].sort(), ['false', 'true']);
});

test('a rename that was not synced happened or did not: one of both files is there, whole', async (t) => {
  const found = await outcomes(async (machine) => {
    const disk = machine.start();
    const old = await openNew(disk, '/a');
    await old.write([Buffer.from('old')], 0);
    await old.dataSync();
    const next = await disk.open('/b', 'create');
    await next.write([Buffer.from('new')], 0);
    await next.dataSync();
    await disk.rename('/b', '/a');
    machine.disk.powerCut();
    return await readFile(machine.start(), '/a');
  });
  t.deepEqual([...found].sort(), ['new', 'old']);
});

test('a removed file may come back while the removal is not synced', async (t) => {
  const found = await outcomes(async (machine) => {
    const disk = machine.start();
    const file = await openNew(disk, '/a');
    await file.write([Buffer.from('x')], 0);
    await file.dataSync();
    await disk.remove('/a');
    machine.disk.powerCut();
    return String(await machine.start().exists('/a'));
  });
  t.deepEqual([...found].sort(), ['false', 'true']);
});

test('a sync that is ignored, named by its place in the code, protects nothing', async (t) => {
  const found = await outcomes(async (machine) => {
    const file = await openNew(machine.start(), '/a');
    await file.write([Buffer.from('x')], 0);
    machine.disk.ignoreSync = ({ path, kind, site }) =>
      path === '/a' && kind === 'data' && /sim-disk\.test\.[jt]s:\d+$/.test(site);
    await file.dataSync();
    machine.disk.powerCut();
    return await readFile(machine.start(), '/a');
  });
  t.true(found.has(''));
});

test('a full disk refuses what would make a file longer, and only that', async (t) => {
  const machine = new Machine(1);
  await machine.simulation.run(async () => {
    const disk = machine.start();
    machine.disk.capacityBytes = 10;
    const file = await disk.open('/a', 'create');
    await file.write([Buffer.alloc(10)], 0);
    t.is(await codeFrom(file.write([Buffer.alloc(1)], 10)), 'NO_SPACE');
    await file.write([Buffer.from('new')], 0);
    t.is((await disk.space('/')).freeBytes, 0);
  });
});

test('faults are made on request: failing operations and flipped bits', async (t) => {
  const machine = new Machine(1);
  await machine.simulation.run(async () => {
    const disk = machine.start();
    const file = await openNew(disk, '/a');
    await file.write([Buffer.from('abc')], 0);
    machine.disk.failOperation = (operation, path) =>
      operation === 'read' && path === '/a' ? 'IO_ERROR' : undefined;
    t.is(await codeFrom(file.read(Buffer.alloc(1), 0)), 'IO_ERROR');
    machine.disk.failOperation = undefined;
    machine.disk.flipBit('/a', 1, 0);
    t.is((await contents(file)).toString(), 'acc');
  });
});
