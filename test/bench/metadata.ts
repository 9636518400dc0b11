// What the master's metadata costs by itself: applying commands to the mapped store, and whole commands with log and fsync.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChunkHandle, type InodeId, ROOT_INODE, type ServerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { unwrap } from '../../src/base/result.ts';
import { MiB } from '../../src/base/units.ts';
import {
  type Command,
  type CommandBodies,
  type CommandBody,
  INTERNAL,
} from '../../src/core/metadata/commands.ts';
import { FileType } from '../../src/core/metadata/rows.ts';
import { MetadataState } from '../../src/core/metadata/state.ts';
import { MetadataEngine } from '../../src/master/metadata-engine.ts';
import { lmdbMetaStores } from '../../src/storage/meta-store-lmdb.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { printTable } from './figures.ts';

const FILES = 40_000;
const FILES_PER_DIRECTORY = 200;
const DURABLE_SECONDS = 1;

export async function benchMetadata(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-bench-metadata-'));
  try {
    const rows = [];
    for (const batch of [1, 16]) rows.push(await applying(join(directory, `${batch}.mdb`), batch));
    for (const inFlight of [1, 64]) rows.push(await durable(join(directory, `engine-${inFlight}`), inFlight));
    printTable(['create a file', 'µs each', 'a second', 'bytes each'], rows);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function applying(path: string, batchCount: number): Promise<(string | number)[]> {
  const store = await lmdbMetaStores(new NodeDisk())(path, { kind: 'empty' });
  const state = new MetadataState(store);
  const apply = (bodies: CommandBody[]) => {
    const time = { seconds: 1_700_000_000 + state.position, nanos: 1 };
    const commands = bodies.map((body): Command => ({ context: INTERNAL, time, body }));
    for (const command of commands) state.refusalOf(command);
    for (const result of state.apply(commands, state.position + 1)) unwrap(result);
  };
  const value = {
    chunkSizeBytes: 64 * MiB,
    replication: 3,
    uid: 0,
    gid: 0,
    mode: 0o755,
    filesystemId: '0'.repeat(32),
  };
  apply([{ $case: 'format', value }]);
  let next = 2;
  let parent = ROOT_INODE;
  const startedMs = performance.now();
  for (let made = 0; made < FILES; made += batchCount) {
    if (made % FILES_PER_DIRECTORY < batchCount) {
      parent = next++ as InodeId;
      apply([{ $case: 'makeNode', value: directoryOf(ROOT_INODE, parent) }]);
    }
    const files = Array.from({ length: batchCount }, () => fileOf(parent, next++));
    apply(files.map((file) => ({ $case: 'createFile', value: file })));
  }
  const eachUs = ((performance.now() - startedMs) * 1000) / FILES;
  await store.close();
  const bytesEach = Math.round(statSync(path).size / FILES);
  return [
    `check and apply, ${batchCount} a transaction`,
    eachUs.toFixed(1),
    Math.round(1e6 / eachUs),
    bytesEach,
  ];
}

async function durable(directory: string, inFlight: number): Promise<(string | number)[]> {
  const disk = new NodeDisk();
  const engine = await MetadataEngine.start({
    env: new NodeEnv(silentLogger),
    disk,
    directory,
    openStore: lmdbMetaStores(disk),
    onFatal: (error) => {
      throw error;
    },
  });
  let made = 0;
  const startedMs = performance.now();
  const endMs = startedMs + DURABLE_SECONDS * 1000;
  const client = async () => {
    while (performance.now() < endMs) {
      unwrap(await engine.execute(INTERNAL, 'createFile', fileOf(ROOT_INODE, engine.dealInode())));
      made += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  const eachUs = ((performance.now() - startedMs) * 1000) / made;
  await engine.close();
  return [`with log and fsync, ${inFlight} in flight`, eachUs.toFixed(1), Math.round(1e6 / eachUs), ''];
}

function fileOf(parent: InodeId, id: number): CommandBodies['createFile'] {
  return {
    parent,
    name: Buffer.from(`file-${String(id).padStart(10, '0')}`),
    inode: id as InodeId,
    mode: 0o644,
    exclusive: true,
    read: false,
    write: true,
    truncate: false,
    firstChunk: { chunk: id as ChunkHandle, members: [1, 2, 3] as ServerId[], primary: 2 as ServerId },
    goal: 3,
  };
}

function directoryOf(parent: InodeId, id: InodeId): CommandBodies['makeNode'] {
  const name = Buffer.from(`directory-${id}`);
  return {
    parent,
    name,
    inode: id,
    type: FileType.DIRECTORY,
    mode: 0o755,
    rdev: 0,
    symlinkTarget: Buffer.alloc(0),
  };
}
