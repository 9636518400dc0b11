// What `npm pack` makes is installed as on another machine, and has everything that it needs there.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Finished, ROOT, run, skips, TestCluster } from './cluster.ts';
import { runTypescript } from './typescript-program.ts';

const PROGRAMS = ['gfs', 'gfs-master', 'gfs-chunkserver', 'gfs-mount'];
/** What npm says where no registry answers. */
const NO_REGISTRY = /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b/;

let directory: string;
let tarball: string;
let files: readonly string[];
/** `npm install`, once for all tests. */
let installed: Promise<Finished>;

test.before(async (t) => {
  t.timeout(120_000);
  directory = mkdtempSync(join(tmpdir(), 'gfs-package-'));
  // The build is what is being tested: nothing may make it anew meanwhile.
  const packed = await run(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', directory],
    ROOT,
  );
  const [made] = Object.values(
    JSON.parse(packed.stdout) as Record<string, { filename: string; files: { path: string }[] }>,
  );
  tarball = join(directory, made?.filename ?? '');
  files = made?.files.map(({ path }) => path) ?? [];
  const options = ['--prefix', directory, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  installed = run('npm', ['install', '--global', '--fetch-retries=0', ...options, tarball]);
});
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

const programPath = (name: string) => join(directory, 'bin', name);
const packagePath = (...path: string[]) => join(directory, 'lib/node_modules/gfs', ...path);

/** Without a registry there are no dependencies to install. */
async function cannotInstall(t: ExecutionContext): Promise<boolean> {
  const { code, stderr } = await installed;
  if (code === 0) return false;
  const reason = NO_REGISTRY.exec(stderr)?.[0];
  if (reason === undefined) throw new Error(stderr);
  t.log(`skipped: npm reaches no registry (${reason})`);
  t.pass();
  return true;
}

test('the package has the programs, the contract, the addon and its sources, and nothing of tests and builds', (t) => {
  const wanted = [
    ...['README.md', 'CHANGELOG.md', 'LICENSE', 'src/ARCHITECTURE.md', 'src/tools/native.mjs'],
    ...['dist/src/index.js', 'dist/src/index.d.ts', 'dist/native/gfs.node', 'dist/proto/descriptors.binpb'],
    ...['proto/gfs/v1/files.proto', 'native/addon.cc', 'src/deploy/compose.yaml'],
  ];
  t.deepEqual(
    wanted.filter((path) => !files.includes(path)),
    [],
  );
  t.deepEqual(
    files.filter((path) =>
      /test|\.map$|\.stamp|tsbuildinfo|^src\/gen|^(src|mount|native)\/.*\.ts$/.test(path),
    ),
    [],
  );
});

test('each program that is installed knows its version', async (t) => {
  t.timeout(120_000);
  if (await cannotInstall(t)) return;
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  for (const program of PROGRAMS) {
    t.deepEqual(await run(programPath(program), ['--version'], '/'), {
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  }
});

test('the installed package runs a mounted cluster, and programs import it with its types', async (t) => {
  t.timeout(120_000);
  if (skips(t) || (await cannotInstall(t))) return;
  await using cluster = new TestCluster({ program: [programPath('gfs')] });
  const { master } = await cluster.start();
  writeFileSync(join(cluster.mount, 'file'), 'written through the mount\n');
  t.is(readFileSync(join(cluster.mount, 'file'), 'utf8'), 'written through the mount\n');
  t.is((await cluster.gfs('cat', '/file')).stdout, 'written through the mount\n');

  const program = `import { GfsClient, type Identity, ownIdentity } from 'gfs';
const me: { caller: Identity } = { caller: ownIdentity() };
const client = await GfsClient.connect({ masters: [process.argv[2] ?? ''] });
const length: number = (await client.resolve(Buffer.from('/file'), {}, me)).length;
await client.close();
process.stdout.write(String(length));
`;
  const place = join(directory, 'program');
  const done = await runTypescript(place, program, { gfs: packagePath() }, master.address);
  t.deepEqual(done, { code: 0, stdout: '26', stderr: '' });
});

test('where the addon does not run, one line says how it is compiled, and that works', async (t) => {
  t.timeout(120_000);
  if (await cannotInstall(t)) return;
  // As if on a machine of another kind. A copy, for the other tests use the one that was installed.
  const place = join(directory, 'other');
  await run('cp', ['-a', packagePath(), place]);
  writeFileSync(join(place, 'dist/native/gfs.node'), 'made for another machine');
  const start = async () =>
    await run(join(place, 'dist/src/cli/gfs-master.js'), [
      ...['--data', join(directory, 'master'), '--listen', '192.0.2.1:1'],
    ]);
  const refused = await start();
  t.is(refused.code, 1);
  const remedy = join(place, 'src/tools/native.mjs');
  t.regex(refused.stderr, /^gfs-master: [^\n]*this needs the native addon, [^\n]*then run "node [^\n]*"\n$/);
  t.true(refused.stderr.includes(`"node ${remedy}"`));
  const help = await run(join(place, 'dist/src/cli/gfs.js'), ['ls', '--master', '127.0.0.1:1', '/']);
  t.regex(help.stderr, /cannot reach 127\.0\.0\.1:1/, 'file commands need no addon');

  const compiled = await run(process.execPath, [remedy]);
  if (/no C\+\+ compiler/.test(compiled.stderr)) {
    t.log('skipped the rest: there is no C++ compiler');
    return;
  }
  t.deepEqual(compiled, {
    code: 0,
    stdout: `gfs: the native addon is compiled for ${process.platform}-${process.arch}\n`,
    stderr: '',
  });
  t.notRegex((await start()).stderr, /native addon/, 'it goes on, to an address that is not here');
});
