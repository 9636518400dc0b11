import { setMaxListeners } from 'node:events';
import { constants } from 'node:fs';
import { access, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { GfsError } from '../../base/errors.ts';
import { MiB, parseSize, parseSpan } from '../../base/units.ts';
import { type BenchOptions, type Onlooker, runBench, type Target } from '../bench/bench.ts';
import { FIGURES, type Figure, SEQUENTIAL_BYTES } from '../bench/figures.ts';
import { resultsText } from '../bench/report.ts';
import { type Results, resultsJson } from '../bench/results.ts';
import { exactBytes } from '../files/exact-text.ts';
import { firstSignal } from '../files/first-signal.ts';
import { named } from '../files/named-error.ts';
import { clusterPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { addKey, checked, parseCount, UsageError } from '../program.ts';
import { addCommonKeys, type CommonKeys, print, realWorld } from './common.ts';
import { table } from './table.ts';

const CLIENTS_DEFAULT = 4;
const CLIENTS_MAX = 64;
const SIZE_DEFAULT = 64 * MiB;
const FILES_DEFAULT = 200;
const FILES_MAX = 100_000;
const TIME_MS_DEFAULT = 500;
const ROUNDS_DEFAULT = 3;
const ROUNDS_MAX = 99;
/** Less is the clock's and the scheduler's, not the file system's. */
const TIME_MS_MIN = 10;

interface Keys extends CommonKeys {
  readonly cluster?: boolean;
  readonly compare?: string;
  readonly clients: number;
  readonly only: readonly Figure[];
  readonly list?: boolean;
  readonly size: number;
  readonly files: number;
  readonly time: number;
  readonly rounds: number;
  readonly svg?: string;
  readonly quiet?: boolean;
}

export function addBench(gfs: Command): void {
  const command = gfs
    .command('bench')
    .argument('[dir]', 'a mount or any other directory; with --cluster, one in the cluster (default: /)')
    .summary('measure a mount, a directory or the cluster')
    .description('measure reads, writes, appends and small files, with ever more clients at a time')
    .option('--cluster', 'measure the cluster without a mount, by clients of its own')
    .option('--compare <dir>', 'measure this directory too, in turn, and show the ratio');
  addKey(command, '--clients <number>', 'measure with 1, 2, 4, ... and so many clients, a process each', {
    parse: parseCount({ min: 1, max: CLIENTS_MAX }),
    default: CLIENTS_DEFAULT,
  });
  command
    .option('--only <names>', 'these figures alone, with commas in between', checked(parseFigures), FIGURES)
    .option('--list', 'show the figures there are, and end');
  addSizes(command);
  command.option('--svg <file>', 'write a chart there').option('-q, --quiet', 'show no progress');
  addCommonKeys(command, { json: true });
  const only = command.options.find(({ long }) => long === '--only');
  if (only !== undefined) only.defaultValueDescription = 'all';
  command.addHelpText(
    'after',
    `
Rates are medians of the rounds, latencies those of single operations. Places
that are compared are measured round by round in turn. Everything is made in a
new directory, gfs-bench-..., and removed, however it ends.

Example: gfs bench /mnt/gfs --compare /tmp --clients 8 --svg rates.svg`,
  );
  command.action(async (directory: string | undefined, keys: Keys) => {
    if (keys.list) print(FIGURES, keys.json, figuresText);
    else await measure(optionsOf(directory, keys), keys);
  });
}

function addSizes(command: Command): void {
  addKey(command, '--size <size>', 'of the large files; each client has up to three', {
    parse: parseFileSize,
    default: SIZE_DEFAULT,
    defaultText: '64MiB',
  });
  addKey(command, '--files <number>', 'small files of each client', {
    parse: parseCount({ min: 1, max: FILES_MAX }),
    default: FILES_DEFAULT,
  });
  addKey(command, '--time <span>', 'a measurement ends then, also when there is more to do', {
    parse: parseTime,
    default: TIME_MS_DEFAULT,
    defaultText: '500ms',
  });
  addKey(command, '--rounds <number>', 'measurements of each figure', {
    parse: parseCount({ min: 1, max: ROUNDS_MAX }),
    default: ROUNDS_DEFAULT,
  });
}

function optionsOf(directory: string | undefined, keys: Keys): BenchOptions {
  const { cluster, compare, clients, only, time, rounds, master } = keys;
  if (directory === undefined && !cluster) {
    throw new UsageError('name a directory to measure, or --cluster');
  }
  const here: Target = cluster
    ? { kind: 'cluster', path: clusterPath(directory ?? '/') }
    : { kind: 'directory', path: exactBytes(directory ?? '') };
  const sizes = { sizeBytes: keys.size, fileCount: keys.files };
  const there: Target | undefined =
    compare === undefined ? undefined : { kind: 'directory', path: exactBytes(compare) };
  return { ...{ masters: master, here, there, clients, figures: only }, ...sizes, timeMs: time, rounds };
}

/** Ctrl-C, SIGTERM and SIGHUP end it in order, and then the process ends by that signal. */
async function measure(options: BenchOptions, { svg, json, quiet = false }: Keys): Promise<void> {
  if (svg !== undefined) await mustBeWritable(svg);
  const world = realWorld();
  const ending = new AbortController();
  // Each client's process has somebody who waits for it.
  setMaxListeners(0, ending.signal);
  const reporter = { env: world.env, onReport: () => undefined };
  let results: Results | undefined;
  const working = Progress.during(reporter, { quiet, unit: 'steps' }, async (progress) => {
    const onlooker = progress.isShown || quiet ? drawn(progress) : told();
    results = await runBench({ world, options, onlooker, ending });
  });
  using stop = firstSignal();
  const signal = await Promise.race([working.then(() => undefined), stop.signal]);
  if (signal !== undefined) {
    ending.abort(new GfsError('CANCELLED', `ended by ${signal}`));
    await working.catch(() => undefined);
    stop[Symbol.dispose]();
    process.kill(process.pid, signal);
    return;
  }
  if (results === undefined) throw new Error('there are results');
  print(results, false, (found) =>
    json ? JSON.stringify(resultsJson(found), undefined, 2) : resultsText(found),
  );
  if (svg !== undefined) await draw(svg, results);
}

async function draw(path: string, results: Results): Promise<void> {
  // Few want a picture.
  const { chart } = await import('../bench/chart.ts');
  await writeFile(exactBytes(path), chart(results)).catch((error: unknown) => {
    throw named(exactBytes(path), error);
  });
}

/** It would be a pity to find out after some minutes. */
async function mustBeWritable(path: string): Promise<void> {
  const file = exactBytes(path);
  try {
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw new GfsError('IS_DIRECTORY', '');
    await access(found === undefined ? exactBytes(dirname(path)) : file, constants.W_OK);
  } catch (error) {
    throw named(file, error);
  }
}

function drawn(progress: Progress): Onlooker {
  return {
    expect: (steps) => progress.expect(steps),
    begins: ({ name, clients }) => {
      progress.step = `${name}, ${clients} ${clients === 1 ? 'client' : 'clients'}`;
      progress.add(0);
    },
    done: () => progress.add(1),
  };
}

/** Where nobody sees a bar, a line says which figure is next. */
function told(): Onlooker {
  let last = '';
  return {
    expect: () => undefined,
    begins: ({ name }) => {
      if (name !== last) process.stderr.write(`gfs: measuring ${name}\n`);
      last = name;
    },
    done: () => undefined,
  };
}

function figuresText(figures: readonly Figure[]): string {
  return table(
    ['FIGURE', 'UNIT', 'WHAT EACH CLIENT DOES'],
    figures.map(({ name, unit, description }) => [name, unit, description]),
  );
}

function parseFigures(text: string): Figure[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (FIGURES.some((figure) => figure.name === name)) continue;
    const known = FIGURES.map((figure) => figure.name).join(', ');
    throw new GfsError('INVALID_ARGUMENT', `there is no figure "${name}", but ${known}`);
  }
  return FIGURES.filter(({ name }) => names.includes(name));
}

function parseFileSize(text: string): number {
  const size = parseSize(text);
  if (size < SEQUENTIAL_BYTES) throw new GfsError('INVALID_ARGUMENT', `"${text}" is less than 1MiB`);
  return Math.floor(size / SEQUENTIAL_BYTES) * SEQUENTIAL_BYTES;
}

function parseTime(text: string): number {
  const timeMs = parseSpan(text);
  if (timeMs < TIME_MS_MIN) throw new GfsError('INVALID_ARGUMENT', `"${text}" is less than ${TIME_MS_MIN}ms`);
  return timeMs;
}
