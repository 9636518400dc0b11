// kill -9 of everything under load: what fsync returned for is there afterwards, bit for bit. (That fsync reaches the
// disk is what kill -9 cannot show: the simulator cuts the power for that.)
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { gone, skips, TestCluster } from './cluster.ts';
import { RECORD_BYTES, RECORD_COUNT, record } from './crash-writer.ts';

/** With fewer of them since the last crash, this would prove nothing. */
const PROMISES_PER_ROUND_MIN = 100;

const WRITER = join(import.meta.dirname, 'crash-writer.js');

test.serial('kill -9 of everything under load loses nothing that fsync returned for', async (t) => {
  if (skips(t)) return;
  t.timeout(180_000);
  await using cluster = new TestCluster({ chunkSize: '256KiB' });
  await cluster.start();
  const manifest = join(cluster.directory, 'manifest');
  writeFileSync(manifest, '');
  writeFileSync(
    join(cluster.mount, 'records'),
    Buffer.concat(Array.from({ length: RECORD_COUNT }, (_, n) => record(n, 0))),
  );
  await cluster.shell('sync records');

  let promised = 0;
  for (let round = 1; round <= 3; round += 1) {
    const writer = spawn(process.execPath, [WRITER, cluster.mount, manifest, String(round)], {
      stdio: 'ignore',
    });
    const ended = new Promise<void>((resolve) => writer.once('exit', () => resolve()));
    // However long it takes on a machine that is busy: some is promised, and more is on its way.
    while (promisesIn(manifest).length < promised + PROMISES_PER_ROUND_MIN) await sleep(20);
    await sleep(333 * round);
    await cluster.killAll();
    writer.kill('SIGKILL');
    await ended;
    if (writer.pid !== undefined) await gone(writer.pid);

    await cluster.start();
    const lines = promisesIn(manifest);
    promised = lines.length;
    verify(t, cluster.mount, lines);
  }
  t.log(`${promised} promises kept over 3 crashes`);
});

function promisesIn(manifest: string): string[] {
  return readFileSync(manifest, 'utf8').split('\n').slice(0, -1);
}

function verify(
  t: { is: (a: unknown, b: unknown, message?: string) => void; true: (a: boolean, message?: string) => void },
  mount: string,
  lines: readonly string[],
): void {
  const counters = new Map<number, number>();
  for (const line of lines) {
    const [kind, first = '', second = ''] = line.split(' ');
    if (kind === 'file') {
      t.is(
        createHash('sha256')
          .update(readFileSync(join(mount, first)))
          .digest('hex'),
        second,
        first,
      );
    } else {
      counters.set(Number(first), Number(second));
    }
  }
  const records = readFileSync(join(mount, 'records'));
  t.is(records.length, RECORD_COUNT * RECORD_BYTES);
  for (let index = 0; index < RECORD_COUNT; index += 1) {
    const found = records.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
    const counter = found.readUInt32LE(4);
    t.true(found.equals(record(index, counter)), `record ${index} is a mixture`);
    t.true(counter >= (counters.get(index) ?? 0), `record ${index} went back to ${counter}`);
  }
}
