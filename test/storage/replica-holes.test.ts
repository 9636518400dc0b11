// Room on the disk that a replica gives back when a part of it becomes zeros: on a real file system, which has to be able to.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { checksumsOf } from '../../src/base/crc.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { replicaPaths } from '../../src/storage/replica-files.ts';
import { type Replica, ReplicaStore } from '../../src/storage/replica-store.ts';
import { Random } from '../sim/random.ts';
import { readAll, versionRecord } from './replica-world.ts';

const CHUNK = 7;

function open(directory: string): Promise<ReplicaStore> {
  const refuse = (error: unknown) => {
    throw error;
  };
  return ReplicaStore.open({
    ...{ env: new NodeEnv(silentLogger), disk: new NodeDisk(), directory },
    ...{ onCorrupt: refuse, onFatal: refuse },
  });
}

async function write(replica: Replica, chunkOffset: number, data: Buffer): Promise<void> {
  const { stream, record } = replica.state;
  const { version } = record;
  const checksums = checksumsOf([data], chunkOffset);
  await replica.apply({ kind: 'write', version, serial: stream.nextSerial, chunkOffset, checksums }, [data]);
}

async function zero(replica: Replica, chunkOffset: number, length: number): Promise<number> {
  const { stream, record } = replica.state;
  const { version } = record;
  return await replica.apply({ kind: 'zero', version, serial: stream.nextSerial, chunkOffset, length }, []);
}

test('what becomes zeros gives its room on the disk back, and reads as zeros after a restart', async (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'gfs-holes-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const { data: path } = replicaPaths(`${directory}/chunks`, CHUNK);
  const usedBytes = () => fs.statSync(path).blocks * 512;
  const store = await open(directory);
  const replica = store.create(versionRecord(CHUNK, 1), 'first');
  const model = new Random('holes').bytes(4 * MiB);
  for (let at = 0; at < model.length; at += MiB) await write(replica, at, model.subarray(at, at + MiB));
  await replica.sync();
  t.true(usedBytes() >= 4 * MiB);
  t.is(await zero(replica, 1 * MiB + 100, 2 * MiB), 2 * MiB, 'all of that was data');
  model.fill(0, 1 * MiB + 100, 3 * MiB + 100);
  // It waits for all that was asked for before, and what that brings about.
  await replica.blockChecksums();
  t.true(usedBytes() <= 2 * MiB + 128 * KiB, `${usedBytes()} bytes are used`);
  t.true((await readAll(replica)).equals(model));
  t.is(await zero(replica, 1 * MiB, 3 * MiB), 100 + MiB - 100, 'the rest was zeros before');
  model.fill(0, 1 * MiB);
  await replica.blockChecksums();
  t.true(usedBytes() <= 1 * MiB + 128 * KiB, `${usedBytes()} bytes are used`);
  // Into the hole again.
  const data = new Random('again').bytes(300 * KiB);
  await write(replica, 2 * MiB - 5, data);
  data.copy(model, 2 * MiB - 5);
  await store.close();
  const again = await open(directory);
  const found = await again.get(CHUNK);
  t.true(found !== undefined && (await readAll(found)).equals(model));
  t.is(joined((await found?.read(3 * MiB, 10))?.payload ?? []).length, 10);
  await again.close();
});
