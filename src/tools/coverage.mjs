// `npm run coverage [-- FILES OF AVA]`: runs the tests and says which lines they ran, in a table of the TypeScript sources. What
// the processes ran that tests start counts as well, daemons and mounts; not what those ran that were killed with -9, for Node.js
// writes it down when it ends. Everything is below dist/coverage; the page to look at is report/index.html there.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
/** The one that c8 itself adds up with. */
const { mergeProcessCovs } = createRequire(require.resolve('c8'))('@bcoe/v8-coverage');
const ROOT = join(import.meta.dirname, '../..');
const PLACE = join(ROOT, 'dist/coverage');
const RAW = join(PLACE, 'raw');
const MERGED = join(PLACE, 'merged');
/** A whole run has thousands of processes, which leave a megabyte each: they are added up meanwhile. */
const GATHER_INTERVAL_MS = 3000;
/** A file that was not written to for so long is whole. */
const QUIET_MS = 2000;
const TOPS = ['src', 'mount', 'native'];
const OURS = TOPS.map((top) => pathToFileURL(join(ROOT, 'dist', top, '/')).href);

const sum = { result: [], 'source-map-cache': {}, timestamp: 0 };

function gather({ quietMs }) {
  const found = [];
  for (const name of readdirSync(RAW)) {
    const path = join(RAW, name);
    if (Date.now() - statSync(path).mtimeMs < quietMs) continue;
    const { result, 'source-map-cache': maps = {} } = parsed(path);
    const ours = result.filter(({ url }) => OURS.some((folder) => url.startsWith(folder)));
    for (const { url } of ours) if (maps[url] !== undefined) sum['source-map-cache'][url] ??= maps[url];
    found.push({ result: ours });
    rmSync(path);
  }
  if (found.length > 0) sum.result = mergeProcessCovs([{ result: sum.result }, ...found]).result;
}

/** A process that was killed as it wrote leaves half a file, which says nothing. */
function parsed(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { result: [] };
  }
}

rmSync(PLACE, { recursive: true, force: true });
mkdirSync(RAW, { recursive: true });
mkdirSync(MERGED);
const tool = (name) => join(ROOT, 'node_modules/.bin', name);
const tests = spawn(tool('ava'), ['--config', 'dist/test/ava.config.js', ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, NODE_V8_COVERAGE: RAW },
});
const timer = setInterval(() => gather({ quietMs: QUIET_MS }), GATHER_INTERVAL_MS);
// Ctrl-C reaches the tests, too: what they ran until then is told.
process.on('SIGINT', () => undefined);
const code = await new Promise((resolve) => tests.once('exit', resolve));
clearInterval(timer);
gather({ quietMs: 0 });
writeFileSync(join(MERGED, 'coverage.json'), JSON.stringify(sum));

const told = spawnSync(
  tool('c8'),
  [
    ...['report', '--temp-directory', MERGED, '--reports-dir', join(PLACE, 'report')],
    ...['--reporter', 'text', '--reporter', 'text-summary', '--reporter', 'html'],
    // Files that no test loads count, too.
    ...['--all', ...TOPS.flatMap((top) => ['--src', top, '--include', `${top}/**/*.ts`])],
    ...['--exclude-after-remap', '--exclude', 'src/gen/**'],
  ],
  { cwd: ROOT, stdio: 'inherit' },
);
process.exitCode = code || told.status;
