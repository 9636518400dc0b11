// `>>` from many programs on two mounts of a real cluster, across many chunk boundaries.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { run, skips, TestCluster } from './cluster.ts';

const WRITERS = 3;
const LINES = 400;

/** Lines of a shell each: their lengths differ, so that chunks end at every possible place in one. */
function script(writer: string, file: string): string {
  const pad = 'printf -v p "%0*d" $((i * 37 % 900 + 1)) 0';
  return `for i in $(seq ${LINES}); do ${pad}; echo "${writer} $i $p" >> ${file}; done`;
}

test.serial(
  "lines that shells append on two mounts at once are there once, whole, in each one's order",
  async (t) => {
    if (skips(t)) return;
    t.timeout(180_000);
    await using cluster = new TestCluster({ chunkSize: '256KiB' });
    await cluster.start();
    const mounts = [cluster.mount, await cluster.mountAgain()];
    const shells = mounts.flatMap((mount, which) =>
      Array.from({ length: WRITERS }, (_, index) => {
        const writer = `w${which}${index}`;
        return run('bash', ['-euc', script(writer, join(mount, 'log'))]);
      }),
    );
    for (const { code, stderr } of await Promise.all(shells)) t.is(code, 0, stderr);
    for (const mount of mounts) {
      const path = join(mount, 'log');
      const text = readFileSync(path, 'latin1');
      t.is(statSync(path).size, text.length);
      t.true(text.endsWith('\n'));
      t.false(text.includes('\0'), 'no padding');
      const lines = text.slice(0, -1).split('\n');
      t.is(lines.length, mounts.length * WRITERS * LINES);
      const next = new Map<string, number>();
      for (const line of lines) {
        const [, writer = '', number = '', zeros = ''] = /^(w\d+) (\d+) (0+)$/.exec(line) ?? [];
        const expected = (next.get(writer) ?? 0) + 1;
        next.set(writer, expected);
        if (Number(number) !== expected || zeros.length !== ((expected * 37) % 900) + 1) {
          t.fail(`${line.slice(0, 40)} comes after line ${expected - 1} of its writer`);
          break;
        }
      }
    }
    const extents = JSON.parse((await cluster.gfs('stat', '/log', '--json')).stdout) as {
      extents: unknown[];
    };
    t.true(extents.extents.length >= 4, `${extents.extents.length} chunks`);
  },
);

test.serial(
  'one write of up to a mebibyte is one record, also of a program that keeps the file open',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster({ chunkSize: '4MiB' });
    await cluster.start();
    const mounts = [cluster.mount, await cluster.mountAgain()];
    const programs = mounts.map((mount, which) => {
      const block = `head -c 900000 /dev/zero | tr '\\0' ${which === 0 ? 'a' : 'b'} > block${which}`;
      const blocks = `for i in $(seq 12); do dd if=block${which} bs=900000 count=1 status=none; done >> big`;
      return run('bash', ['-euo', 'pipefail', '-c', `${block}; ${blocks}`], mount);
    });
    for (const { code, stderr } of await Promise.all(programs)) t.is(code, 0, stderr);
    const path = join(cluster.mount, 'big');
    t.true(existsSync(path));
    const bytes = readFileSync(path);
    t.is(bytes.length, 2 * 12 * 900_000);
    for (let at = 0; at < bytes.length; at += 900_000) {
      const record = bytes.subarray(at, at + 900_000);
      t.is(
        record.findIndex((byte) => byte !== record[0]),
        -1,
        `record at ${at} is whole`,
      );
    }
  },
);
