// Bits flip in one replica while everything runs: whoever reads gets right bytes, and the replica is reported.
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { skips } from './cluster.ts';
import { DaemonCluster } from './daemon-cluster.ts';

const CHUNK_BYTES = 256 * 1024;
const BLOCK_BYTES = 64 * 1024;

test.serial('bits that flip below running servers are read past, reported, and written around', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  const cluster = await DaemonCluster.create({ chunkservers: 4, mounts: 1 });
  try {
    await cluster.start();
    // Which member of a chunk is read first depends on the chunk alone: so many that some are read from any server.
    const content = randomBytes(32 * CHUNK_BYTES);
    await writeFile(cluster.path('file'), content, { flush: true });
    t.is(await reported(cluster), 0);

    const [server] = cluster.servers;
    const id = (await server?.ready())?.id;
    const holding = (await cluster.extents('file')).filter(({ replicas }) =>
      replicas.some((replica) => replica.server === id),
    );
    t.true(holding.length > 0, 'the server holds copies');
    const damaged = flipBits(cluster.dataOf('server0'));
    t.true(damaged >= holding.length, `${damaged} replica files were damaged`);

    // None may show a wrong byte.
    for (let round = 0; round < 3; round += 1) {
      const { path } = await cluster.mountAgain();
      t.true((await readFile(join(path, 'file'))).equals(content), `mount ${round}`);
    }
    // The report goes its own way, behind the read's answer.
    while ((await reported(cluster)) === 0) await sleep(100);

    // It can be written to, and killed, and what is read stays right.
    await appendFile(cluster.path('file'), 'more');
    await cluster.servers[1]?.kill();
    const fresh = await cluster.mountAgain();
    t.true((await readFile(join(fresh.path, 'file'))).equals(Buffer.concat([content, Buffer.from('more')])));
  } finally {
    await cluster.close();
  }
});

test.serial('bits that flipped on a disk are good on it again when a mount has read them', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  const cluster = await DaemonCluster.create({ chunkservers: 4, mounts: 1 });
  try {
    await cluster.start();
    const content = randomBytes(4 * CHUNK_BYTES);
    await writeFile(cluster.path('file'), content, { flush: true });
    t.is(chunksWithGoodCopy(cluster, content).size, 4);
    // Another block at each member: no chunk has a good copy any more, and whichever is read has a bad block.
    for (let index = 0; index < 4; index += 1) {
      t.true(flipBits(cluster.dataOf(`server${index}`), index) > 0, `server ${index} holds copies`);
    }
    t.is(chunksWithGoodCopy(cluster, content).size, 0);

    const { path } = await cluster.mountAgain();
    t.true((await readFile(join(path, 'file'))).equals(content));
    // In its place in the data file when the server has been quiet.
    while (chunksWithGoodCopy(cluster, content).size < 4) await sleep(500);
    t.deepEqual(await cluster.checkMembers(['file']), []);
  } finally {
    await cluster.close();
  }
});

/** Data files of which some server has all bytes right. */
function chunksWithGoodCopy(cluster: DaemonCluster, content: Buffer): Set<string> {
  const good = new Set<string>();
  for (let index = 0; index < 4; index += 1) {
    const directory = cluster.dataOf(`server${index}`);
    for (const name of dataFiles(directory)) {
      const bytes = readFileSync(join(directory, name));
      if (bytes.length === CHUNK_BYTES && content.indexOf(bytes) % CHUNK_BYTES === 0) good.add(name);
    }
  }
  return good;
}

function dataFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /[0-9a-f]{16}\.data$/.test(name),
  );
}

async function reported(cluster: DaemonCluster): Promise<number> {
  const { stdout } = await cluster.gfs('status', '--json');
  return (JSON.parse(stdout) as { badReplicaReportCount: number }).badReplicaReportCount;
}

/** Flips a bit in the middle of each block, or of one, of all data files of a server; returns of how many. */
function flipBits(directory: string, blockIndex?: number): number {
  const files = dataFiles(directory);
  for (const name of files) {
    const file = openSync(join(directory, name), 'r+');
    const { size } = fstatSync(file);
    const byte = Buffer.alloc(1);
    for (let at = BLOCK_BYTES / 2; at < size; at += BLOCK_BYTES) {
      if (blockIndex !== undefined && Math.floor(at / BLOCK_BYTES) !== blockIndex) continue;
      readSync(file, byte, 0, 1, at);
      writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, at);
    }
    closeSync(file);
  }
  return files.length;
}
