// Builds what is out of date, and nothing else:
//   proto/**            -> src/gen/     (buf, ts-proto), dist/proto/descriptors.binpb (buf)
//   native/*.cc, *.h    -> dist/native/gfs.node   (native.mjs)
//   **/*.ts             -> dist/        (tsc)
// Each step keeps a stamp in dist/ with a digest of its inputs. `--types` always runs the compiler (for `npm run check`).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { compileNative, FLAGS, nativeSources } from './native.mjs';

const root = join(import.meta.dirname, '../..');
process.chdir(root);
const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter) };

function filesBelow(directory, wanted) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function digest(files, ...more) {
  const hash = createHash('sha256');
  for (const text of more) hash.update(`${text}\0`);
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function run(command, args) {
  const done = spawnSync(command, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.error) throw done.error;
  if (done.status !== 0) {
    process.stderr.write(`build: ${basename(command)} failed\n`);
    process.exit(done.status ?? 1);
  }
}

/** Runs `build` unless the stamp says that these inputs were built before and `output` is still there. */
function step({ name, inputs, more = [], output, build, always = false }) {
  const stamp = join('dist', `.stamp-${name}`);
  const now = digest(inputs, ...more);
  if (!always && existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return;
  rmSync(stamp, { force: true });
  build();
  writeFileSync(stamp, now);
}

/** A deleted source must not leave its old output behind: ava would still run it. */
function removeOrphans() {
  for (const top of ['src', 'mount', 'native', 'test']) {
    for (const file of filesBelow(join('dist', top), (name) => /\.(js|d\.ts|js\.map)$/.test(name))) {
      const source = file.slice('dist/'.length).replace(/\.(d\.ts|js\.map|js)$/, '.ts');
      if (!existsSync(source)) rmSync(file);
    }
  }
}

mkdirSync('dist', { recursive: true });
const lock = readFileSync('package-lock.json', 'utf8');

step({
  name: 'proto',
  inputs: filesBelow('proto', () => true),
  more: [digest([], lock)],
  output: 'src/gen/gfs/v1/master.ts',
  build: () => {
    rmSync('src/gen', { recursive: true, force: true });
    run('buf', ['generate', 'proto', '--template', 'proto/buf.gen.yaml']);
  },
});

// What gRPC's reflection tells about the services.
step({
  name: 'descriptors',
  inputs: filesBelow('proto', () => true),
  more: [digest([], lock)],
  output: 'dist/proto/descriptors.binpb',
  build: () => {
    mkdirSync('dist/proto', { recursive: true });
    run('buf', ['build', 'proto', '--exclude-source-info', '-o', 'dist/proto/descriptors.binpb']);
  },
});

step({
  name: 'native',
  inputs: nativeSources(),
  more: [FLAGS.join(' '), process.version, process.arch],
  output: 'dist/native/gfs.node',
  build: () => {
    if (!compileNative(process.env.CXX || 'c++')) process.exit(1);
  },
});

const typescript = ['src', 'mount', 'native', 'test'].flatMap((top) =>
  filesBelow(top, (name) => name.endsWith('.ts')),
);
step({
  name: 'typescript',
  inputs: [...typescript, 'tsconfig.json'],
  more: [digest([], lock)],
  output: 'dist/.tsbuildinfo',
  always: process.argv.includes('--types'),
  build: () => {
    removeOrphans();
    run('tsc', ['-p', 'tsconfig.json']);
  },
});
