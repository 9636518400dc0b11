// Two mounts of one cluster whose kernels believe what they are told for an hour: what one changes, the other sees because
// it is told, not because it asks again.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { mountDirectory } from '../mount/mount-helper.ts';
import { ROOT, run, skips, TestCluster } from './cluster.ts';

const MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');
const BELIEF = 'attr_timeout=3600,entry_timeout=3600';
/** News are on their way for a millisecond or two; a machine that is busy may take its time. An hour it is not. */
const PATIENCE_MS = 20_000;

let cluster: TestCluster | undefined;
test.before(async (t) => {
  if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
  cluster = new TestCluster({ chunkSize: '256KiB' });
  await cluster.start();
});
test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

interface Places {
  /** One directory, seen through two mounts. */
  readonly a: string;
  readonly b: string;
}

function between(title: string, body: (t: ExecutionContext, places: Places) => Promise<void>): void {
  test.serial(title, async (t) => {
    if (cluster === undefined) {
      skips(t);
      return;
    }
    const [first, second] = [await mount(t, cluster), await mount(t, cluster)];
    const a = await fs.mkdtemp(join(first, 'place-'));
    await body(t, { a, b: join(second, a.slice(first.length + 1)) });
  });
}

async function mount(t: ExecutionContext, { file }: TestCluster): Promise<string> {
  const path = mountDirectory(t);
  const log = join(tmpdir(), `gfs-two-mounts-${process.pid}.log`);
  t.teardown(() => fs.rm(log, { force: true }));
  const started = await run(process.execPath, [
    MOUNT,
    file.master.address,
    path,
    '-o',
    BELIEF,
    '--log-file',
    log,
  ]);
  t.is(started.code, 0, started.stderr);
  return path;
}

/** What a look gives, or the code of its failure. */
async function look<T>(question: () => Promise<T>): Promise<T | string> {
  try {
    return await question();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Waits for the news to come. */
async function sees<T>(
  t: ExecutionContext,
  what: string,
  expected: T,
  question: () => Promise<T>,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  let seen = await look(question);
  while (JSON.stringify(seen) !== JSON.stringify(expected) && Date.now() < deadline) {
    await sleep(5);
    seen = await look(question);
  }
  t.deepEqual(seen as unknown, expected as unknown, what);
}

const mode = async (path: string) => (await fs.stat(path)).mode & 0o777;
const size = async (path: string) => (await fs.stat(path)).size;

between('names and attributes that one mount changes are seen on the other', async (t, { a, b }) => {
  await fs.writeFile(join(a, 'f'), 'one');
  t.is(await fs.readFile(join(b, 'f'), 'latin1'), 'one');
  t.deepEqual(await fs.readdir(b), ['f']);

  await fs.chmod(join(a, 'f'), 0o600);
  await sees(t, 'chmod', 0o600, () => mode(join(b, 'f')));

  await fs.writeFile(join(a, 'f'), 'longer than before');
  await sees(t, 'contents', 'longer than before', () => fs.readFile(join(b, 'f'), 'latin1'));

  t.is(await look(() => size(join(b, 'new'))), 'ENOENT');
  await fs.writeFile(join(a, 'new'), 'x');
  await sees(t, 'a new name', 1, () => size(join(b, 'new')));

  await fs.rename(join(a, 'new'), join(a, 'moved'));
  await sees(t, 'the old name', 'ENOENT', () => look(() => size(join(b, 'new'))) as Promise<string>);
  await sees(t, 'the new name', 1, () => size(join(b, 'moved')));

  await fs.writeFile(join(a, 'other'), 'replaces');
  t.is(await size(join(b, 'moved')), 1);
  await fs.rename(join(a, 'other'), join(a, 'moved'));
  await sees(t, 'what took the name over', 8, () => size(join(b, 'moved')));

  await fs.unlink(join(a, 'moved'));
  await sees(t, 'unlink', 'ENOENT', () => look(() => size(join(b, 'moved'))) as Promise<string>);

  await fs.mkdir(join(a, 'd'));
  t.true((await fs.stat(join(b, 'd'))).isDirectory());
  const { nlink } = await fs.stat(b);
  await fs.mkdir(join(a, 'd2'));
  await sees(t, "the directory's own attributes", nlink + 1, async () => (await fs.stat(b)).nlink);
  await fs.rmdir(join(a, 'd'));
  await sees(t, 'rmdir', 'ENOENT', () => look(() => size(join(b, 'd'))) as Promise<string>);
  await fs.truncate(join(a, 'f'), 4);
  await sees(t, 'a truncation', 'long', () => fs.readFile(join(b, 'f'), 'latin1'));
});

between('the length of a file that is being written is never behind', async (t, { a, b }) => {
  await fs.writeFile(join(a, 'log'), '');
  t.is(await size(join(b, 'log')), 0, 'believed for an hour, unless somebody tells');
  const append = await fs.open(join(a, 'log'), 'a');
  let length = 0;
  // Also over the ends of chunks.
  for (let round = 0; round < 40; round += 1) {
    const record = `${round}:`.padEnd(20_000, 'x');
    await append.write(record);
    length += record.length;
    t.is(await size(join(b, 'log')), length, `append ${round}`);
    t.false((await fs.readFile(join(b, 'log'))).includes(0), 'never zeros');
  }
  await append.close();
  t.is(await size(join(b, 'log')), length);

  const file = await fs.open(join(a, 'written'), 'w');
  for (let round = 1; round <= 20; round += 1) {
    await file.write(Buffer.alloc(30_000, round));
    await file.datasync();
    t.is(await size(join(b, 'written')), round * 30_000, `write ${round}`);
  }
  await file.close();
});

between('tail -f follows a log that is appended elsewhere, record by record', async (t, { a, b }) => {
  await fs.writeFile(join(a, 'log'), '');
  const tail = spawn('tail', ['-n', '+1', '-s', '0.1', '-f', join(b, 'log')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => tail.kill('SIGKILL'));
  let seen = '';
  tail.stdout.setEncoding('latin1').on('data', (text: string) => {
    seen += text;
  });
  const log = await fs.open(join(a, 'log'), 'a');
  let written = '';
  for (let round = 0; round < 60; round += 1) {
    const record = `${round} ${'y'.repeat((round * 997) % 12_000)}\n`;
    await log.write(record);
    written += record;
    await sleep(20);
  }
  await log.close();
  const deadline = Date.now() + PATIENCE_MS;
  while (seen.length < written.length && Date.now() < deadline) await sleep(20);
  t.true(seen === written, `tail saw ${seen.length} of ${written.length} bytes`);
});
