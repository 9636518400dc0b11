// The programs in the README are the ones that run.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ROOT, run } from './cluster.ts';
import { GatewayCluster, PROTOS } from './gateway-cluster.ts';
import { runTypescript } from './typescript-program.ts';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

let cluster: GatewayCluster;
let directory: string;
test.before(async (t) => {
  t.timeout(60_000);
  directory = mkdtempSync(join(tmpdir(), 'gfs-programs-'));
  cluster = await GatewayCluster.start();
});
test.after.always(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** What stands in the README between ```language and ```, if it holds these words. */
function program(language: string, words: string): string {
  const blocks = [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  const found = blocks.filter(([, name, text]) => name === language && text?.includes(words));
  if (found.length !== 1) throw new Error(`${found.length} programs in ${language} with ${words}`);
  return found[0]?.[2] ?? '';
}

test.serial('the program in TypeScript uses the gateway', async (t) => {
  t.timeout(120_000);
  const text = program('ts', 'gfs/v1/files.proto');
  const packages = Object.fromEntries(
    ['@grpc/grpc-js', '@grpc/proto-loader'].map((name) => [name, join(ROOT, 'node_modules', name)]),
  );
  const place = join(directory, 'typescript');
  const done = await runTypescript(place, text, packages, cluster.address, PROTOS);
  t.is(done.stderr, '');
  t.deepEqual(done.stdout.split('\n'), [
    'wrote 4000000 bytes',
    'photos 0',
    'photos/beach.raw 4000000',
    'ndsand',
    ...['record 1 is at 0', 'record 2 is at 10', 'record 1 is at 0', 'record 2 is at 10'],
    'NOT_FOUND /typescript/none: no such file or directory',
    '',
  ]);
});

test.serial("the program with gfs's own client is compiled with its types, and runs", async (t) => {
  t.timeout(120_000);
  const text = program('ts', "from 'gfs'");
  const done = await runTypescript(join(directory, 'client'), text, { gfs: ROOT }, cluster.master);
  t.is(done.stderr, '');
  t.regex(done.stdout, /^appended at 0\none line\n\ninode \d+ has 9 bytes\n$/);
});

test.serial('the program in Python uses the gateway', async (t) => {
  t.timeout(120_000);
  const there = await run('python3', ['-c', 'import grpc, grpc_tools']).catch(() => ({ code: 127 }));
  if (there.code !== 0) {
    t.log('skipped: python3 has no grpcio and grpcio-tools');
    t.pass();
    return;
  }
  const place = join(directory, 'python');
  cpSync(PROTOS, join(place, 'proto'), { recursive: true });
  const command = /`(python3 -m grpc_tools\.protoc [^`]*)`/.exec(README)?.[1] ?? 'false';
  const stubs = await run('sh', ['-c', command], place);
  t.is(stubs.code, 0, stubs.stderr);
  writeFileSync(join(place, 'program.py'), program('python', 'FilesStub'));
  const done = await run('python3', ['program.py', cluster.address], place);
  t.is(done.stderr, '');
  t.deepEqual(done.stdout.split('\n'), [
    'wrote 4000000 bytes',
    'photos 0',
    'photos/beach.raw 4000000',
    "b'ndsand'",
    ...['appended at 0', 'appended at 0'],
    'NOT_FOUND /python/none: no such file or directory',
    '',
  ]);
});
