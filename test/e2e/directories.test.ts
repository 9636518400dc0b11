// A large directory, read in small pieces while another mount adds and removes names.
import { rmSync, statSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { inodeId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { GfsClient } from '../../src/client/gfs-client.ts';
import { FileType } from '../../src/rpc/messages.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { compileProgram } from '../compile-program.ts';
import { Callers, World } from '../posix/world.ts';
import { ROOT } from './cluster.ts';
import { between, TwoMounts } from './two-mounts.ts';

const COUNT = 20_000;
const AT_ONCE = 256;
/** As many as some C libraries for small machines read by. */
const SMALL = 1000;
const FIFO = { type: FileType.FILE_TYPE_FIFO, mode: 0o644 };
const ME = { caller: { uid: 0, gid: 0, groups: [] } };

const mounts = new TwoMounts(test);
const named = (number: number) => `name-${String(number).padStart(5, '0')}`;

/** Makes many names quickly: by a program, many at a time. */
async function fill(path: string): Promise<void> {
  const env = new NodeEnv(silentLogger);
  const masters = [mounts.cluster.file.master.address];
  const network = new NodeNetwork({ env });
  const client = await GfsClient.connect({ env, network, masters, host: 'test', program: 'many names' });
  try {
    const directory = inodeId(statSync(path).ino);
    let next = 0;
    const make = async () => {
      while (next < COUNT) {
        next += 1;
        await client.makeNode(directory, Buffer.from(named(next)), FIFO, ME);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, make));
  } finally {
    await client.close();
  }
}

interface Listed {
  readonly name: string;
  /** Leads to what comes behind the name. */
  readonly offset: number;
}

/** Reads by system calls, as `caller.cc` makes them. */
async function withReader(
  t: ExecutionContext,
  place: string,
  body: (world: World, read: (from: string, size?: number) => Promise<Listed[]>) => Promise<void>,
): Promise<void> {
  const program = compileProgram(join(ROOT, 'test/posix/caller.cc'), mounts.cluster.directory);
  if (program === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  const callers = new Callers(program);
  const world = new World(place, callers);
  const read = async (from: string, size = SMALL) => {
    const answer = await world.call('root', `getdents ${from} ${size}`);
    if (answer === 'end') return [];
    return answer.split(' ').map((entry) => {
      const slash = entry.indexOf('/');
      return { offset: Number(entry.slice(0, slash)), name: entry.slice(slash + 1) };
    });
  };
  try {
    await body(world, read);
  } finally {
    callers.end();
  }
}

between(
  mounts,
  'of 20,000 names that others come and go between, each is listed once',
  async (t, { a, b }) => {
    await fill(a);
    await withReader(t, a, async (world, read) => {
      await world.script('open x . rdonly,directory');
      const listed: Listed[] = [];
      for (let round = 0; ; round += 1) {
        const some = await read('x');
        if (some.length === 0) break;
        listed.push(...some);
        if (round % 40 !== 0) continue;
        // Before, at, and behind where the reader is; one that was there all the time is never touched.
        const at = some.at(-1)?.name ?? '';
        for (const name of [`${named(3)}-${round}`, `${at}-${round}`, `${named(COUNT)}-${round}`]) {
          await fs.mkdir(join(b, name));
          if (round % 80 === 0) await fs.rmdir(join(b, name));
        }
      }
      const stayed = listed.map(({ name }) => name).filter((name) => /^name-\d+$/.test(name));
      t.is(stayed.length, COUNT);
      t.is(new Set(stayed).size, COUNT);
      t.is(new Set(listed.map(({ name }) => name)).size, listed.length, 'and nothing twice');
      t.true(
        listed.some(({ name }) => /-\d+-\d+$/.test(name)),
        'names that came are seen',
      );
      t.true(
        listed.every(({ offset }) => offset > 0 && offset < 2 ** 31),
        'offsets fit old programs',
      );
    });
  },
);

between(
  mounts,
  'positions lead to the same names when others went, and after a rewind all is new',
  async (t, { a, b }) => {
    for (let number = 1; number <= 300; number += 1) await fs.symlink('x', join(a, named(number)));
    await withReader(t, a, async (world, read) => {
      await world.script('open x . rdonly,directory\nopen y . rdonly,directory');
      const listed: Listed[] = [];
      for (let some = await read('x'); some.length > 0; some = await read('x')) listed.push(...some);
      t.is(listed.length, 302);
      const apart = await read('y');
      t.deepEqual(apart, listed.slice(0, apart.length), 'another handle is at its own place');
      const gone = new Set([2, 30, 100, 101, 102, 250].map((index) => listed[index]?.name ?? ''));
      for (const name of gone) rmSync(join(b, name));
      // From each position on, those of names that went too, in an order that goes back and forth.
      for (const index of [101, 2, 299, 29, 30, 250, 100, 1, 249, 101]) {
        await world.script(`lseek x ${listed[index]?.offset} set`);
        const wanted = listed.slice(index + 1).find(({ name }) => !gone.has(name));
        // Whether a name that went meanwhile is still shown is not said.
        const next = (await read('x')).find(({ name }) => !gone.has(name));
        t.deepEqual(next, wanted, `behind ${listed[index]?.name}`);
      }
      writeFileSync(join(b, 'a-new-one'), '');
      await world.script('lseek x 0 set');
      t.deepEqual((await read('x')).map(({ name }) => name).slice(0, 4), ['.', '..', 'a-new-one', named(2)]);
      await world.script('lseek x 123456789 set');
      t.deepEqual(await world.ask('root', 'getdents x 1000'), { errno: 'EINVAL' });
      t.deepEqual(await world.ask('root', 'getdents x 10'), { errno: 'EINVAL' });
    });
  },
);
