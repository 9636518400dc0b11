// House rules that a machine can hold: import direction, no clock or dice outside Env, no forgotten debugging.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../..');

/** Each folder, and the folders it may import from. Lower is purer. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  mount: ['src/client', 'src/rpc', 'src/core', 'src/base', 'src/cli', 'native'],
  'src/cli': [
    'src/gateway',
    'src/client',
    'src/master',
    'src/chunkserver',
    'src/storage',
    'src/rpc',
    'src/core',
    'src/base',
  ],
  'src/index.ts': ['src/client', 'src/rpc', 'src/base'],
  'src/gateway': ['src/client', 'src/rpc', 'src/base'],
  'src/master': ['src/storage', 'src/rpc', 'src/core', 'src/base'],
  'src/chunkserver': ['src/storage', 'src/rpc', 'src/core', 'src/base'],
  'src/client': ['src/rpc', 'src/core', 'src/base'],
  'src/storage': ['src/core', 'src/base', 'src/gen', 'native'],
  'src/rpc': ['src/core', 'src/base', 'src/gen'],
  'src/core': ['src/base'],
  'src/base': [],
  native: ['src/base'],
};

interface Source {
  readonly path: string;
  readonly text: string;
}

function sources(...tops: string[]): Source[] {
  const there = tops.filter((top) => existsSync(join(ROOT, top)));
  return there.flatMap((top) =>
    readdirSync(join(ROOT, top), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
      .filter((path) => !path.startsWith('src/gen/'))
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') })),
  );
}

/** The text with comments blanked, so that rules look at code alone. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/(^|[^:'"`])\/\/[^\n]*/g, '$1');
}

function relativeImports({ path, text }: Source): string[] {
  return [...code(text).matchAll(/(?:from\s+|import\s*\(\s*|import\s+)'(\.[^']+)'/g)].map((match) =>
    normalize(join(dirname(path), match[1] ?? '')),
  );
}

function folderOf(path: string): string {
  const parts = path.split('/');
  return parts[0] === 'src' ? `${parts[0]}/${parts[1]}` : (parts[0] ?? '');
}

/** Each match of a rule's pattern in the code, as "path: text", but for the files allowed to. */
function offences(files: readonly Source[], pattern: RegExp, allowed: readonly string[] = []): string[] {
  return files
    .filter(({ path }) => !allowed.includes(path))
    .flatMap(({ path, text }) =>
      [...code(text).matchAll(pattern)].map((match) => `${path}: ${match[0].trim()}`),
    );
}

test('imports point downwards only', (t) => {
  const upward = sources('src', 'mount', 'native').flatMap((source) => {
    const folder = folderOf(source.path);
    const allowed = MAY_IMPORT[folder];
    if (allowed === undefined) return [`${source.path}: ${folder} is not in the table`];
    return relativeImports(source)
      .filter((target) => folderOf(target) !== folder && !allowed.includes(folderOf(target)))
      .map((target) => `${source.path} -> ${target}`);
  });
  t.deepEqual(upward, []);
});

test('the core never waits', (t) => {
  t.deepEqual(
    offences(sources('src/core'), /\bawait\b|\basync\b|\bPromise\b|from 'node:(?!buffer)[^']+'/g),
    [],
  );
});

test('nothing but NodeEnv asks the clock, sets timers or throws dice', (t) => {
  const pattern =
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|\b(?<!\.)set(Timeout|Interval|Immediate)\(|\bAbortSignal\.timeout\b|\brandom(Bytes|UUID|Int)\(|from 'node:timers/g;
  t.deepEqual(offences(sources('src', 'mount', 'native'), pattern, ['src/base/node-env.ts']), []);
});

test('no test is left alone or switched off, no debugging is left behind', (t) => {
  const pattern =
    /\btest(\.serial)?\.(only|skip|todo)\b|\bdebugger\b|\bconsole\.log\b|@ts-(ignore|nocheck|expect-error)/g;
  t.deepEqual(offences(sources('src', 'mount', 'native', 'test'), pattern, ['test/tidy.test.ts']), []);
});

test('only rpc and storage know the generated code', (t) => {
  const offenders = sources('src', 'mount', 'native', 'test').filter(
    (source) =>
      !['src/rpc', 'src/storage'].includes(folderOf(source.path)) &&
      relativeImports(source).some((target) => target.startsWith('src/gen/')),
  );
  t.deepEqual(
    offenders.map(({ path }) => path),
    [],
  );
});

/** The world that the simulator stands in for: time, disks, the network, and machines that start programs. */
const SIMULATED_WORLD =
  /^(simulation|event-queue|random|node|cluster|kept-stores|sim-(env|disk|file|names|network|link|stream|client|server))\.ts$/;
/** What is done in it, and how seeds are run. */
const SIMULATOR = /^(faults|workloads|checkers)\/|^(story|rules|main|pool|worker)\.ts$|\.test\.ts$/;

test('the simulator makes up time, disks and the network, and nothing that serves', (t) => {
  const files = sources('test/sim').map(({ path, text }) => ({ path: path.slice('test/sim/'.length), text }));
  t.deepEqual(
    files.map(({ path }) => path).filter((path) => !SIMULATED_WORLD.test(path) && !SIMULATOR.test(path)),
    [],
  );
  const others = files.filter(({ path }) => !/^sim-(network|server)\.ts$|\.test\.ts$/.test(path));
  t.deepEqual(offences(others, /\.listen\(|\bServiceBinding\b|\bHandlers\b/g), []);
  const cluster = files.find(({ path }) => path === 'cluster.ts');
  for (const program of ['MasterServer.start(', 'ChunkServer.start(', 'GfsClient.connect(']) {
    t.true(cluster?.text.includes(program), `${program} is what runs`);
  }
});
