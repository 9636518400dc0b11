import { messageOf } from '../../src/base/errors.ts';
import { MINUTE_MS } from '../../src/base/units.ts';
import type { Rule } from '../../src/core/rules.ts';
import { refuseCall, toolOptions } from '../tool-options.ts';
import { CONSEQUENCES, FAULTS } from './faults/faults.ts';
import { Pool } from './pool.ts';
import { hashOf } from './random.ts';
import { isRule, RULES, seedsUntilMissed } from './rules.ts';
import { type RunResult, runSeed, type WorkloadName, workloadNames } from './story.ts';

const HELP = `npm run sim -- [--seed N | --from A --count N | --minutes M] [--twice] [--trace]
               [--workload NAME,...]
npm run sim -- --without RULE [--from A] [--count N]

Seeds of the simulated cluster, on all processors. Prints a digest of all
traces, and how often each fault came; a seed that fails is printed with the
command that repeats it.

  --seed N         this one only, twice
  --from A         the first seed (default: 0)
  --count N        how many (default: 100, with --without 200)
  --minutes M      as many as that takes
  --twice          each seed twice, with equal traces
  --trace          with --seed: a line for each event
  --workload NAME  only these of ${workloadNames.join(', ')}
  --without RULE   leaves a rule out, and says after how many seeds that is
                   noticed; one of
                   ${RULES.join(' ')}

Ctrl-C ends a run of many seeds after those that are under way.
`;

interface Arguments {
  readonly from: number;
  /** Undefined: as many as the time allows. */
  readonly count: number | undefined;
  readonly minutes: number;
  readonly single: boolean;
  readonly twice: boolean;
  readonly trace: boolean;
  readonly workloads: readonly WorkloadName[] | undefined;
  readonly without: Rule | undefined;
}

const wanted = readArguments();
const { without } = wanted;
const isGood = await (without !== undefined
  ? leftOut(without, wanted)
  : wanted.single
    ? one(wanted)
    : many(wanted));
process.exitCode = isGood ? 0 : 1;

async function leftOut(rule: Rule, { from, count = 200 }: Arguments): Promise<boolean> {
  const finding = await seedsUntilMissed(rule, { from, count });
  print(
    `${rule}: ${finding === undefined ? `not noticed by ${count} seeds` : `after ${finding.seeds} seeds, ${finding.what}`}`,
  );
  return finding !== undefined;
}

async function one({ from: seed, trace, workloads }: Arguments): Promise<boolean> {
  const onTrace = trace ? (line: string) => print(line) : undefined;
  const plan = workloads === undefined ? {} : { workloads };
  try {
    const result = await runSeed(seed, { onTrace, plan });
    const again = await runSeed(seed, { plan });
    if (result.traceHash !== again.traceHash) throw new Error('two runs of one seed differ');
    print(`seed ${seed}: trace ${result.traceHash}, twice; ${result.eventCount} events`);
    printCounts(result.counts);
    return true;
  } catch (error) {
    printFailure(seed, textOf(error));
    return false;
  }
}

async function many({ from, count, minutes, twice, workloads }: Arguments): Promise<boolean> {
  const startMs = Date.now();
  const endMs = startMs + minutes * MINUTE_MS;
  const hashes = new Map<number, string>();
  const counts = new Map<string, number>();
  let failures = 0;
  let processorSeconds = 0;
  let next = from;
  let stopped = false;
  process.once('SIGINT', () => {
    stopped = true;
  });
  const nextSeed = () => {
    if (stopped) return undefined;
    const over = count === undefined ? Date.now() >= endMs : next >= from + count;
    if (over) return undefined;
    next += 1;
    return next - 1;
  };
  await using pool = new Pool();
  await pool.run({ nextSeed, twice: () => twice, workloads }, (seed, outcome) => {
    if ('error' in outcome) {
      failures += 1;
      hashes.set(seed, 'failed');
      printFailure(seed, outcome.error);
      return;
    }
    hashes.set(seed, outcome.traceHash);
    processorSeconds += outcome.seconds;
    for (const [name, number] of outcome.counts) counts.set(name, (counts.get(name) ?? 0) + number);
  });
  const seconds = (Date.now() - startMs) / 1000;
  const ran = hashes.size;
  printCounts(counts);
  const digest = [...hashes]
    .sort(([one], [other]) => one - other)
    .reduce((sum, [, hash]) => hashOf(hash, sum), 0);
  print(
    `${ran} seeds from ${from} in ${seconds.toFixed(0)} s (${Math.round((ran / seconds) * 3600)} an hour, ` +
      `${(processorSeconds / ran).toFixed(2)} s of processor each), ` +
      `${failures} failed; digest of all traces: ${digest.toString(16).padStart(8, '0')}`,
  );
  return failures === 0;
}

function printCounts(counts: RunResult['counts']): void {
  const expected = [...FAULTS.map(({ name }) => name), ...CONSEQUENCES];
  const names = new Set([...expected, ...counts.keys()]);
  for (const name of names) print(`${String(counts.get(name) ?? 0).padStart(10)}  ${name}`);
}

function printFailure(seed: number, text: string): void {
  print(`seed ${seed} fails: ${text}\nto repeat it: npm run sim -- --seed ${seed} --trace`);
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\nbecause of ${messageOf(error.cause)}`}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(): Arguments {
  const values = toolOptions('sim', {
    seed: { type: 'string' },
    from: { type: 'string' },
    count: { type: 'string' },
    minutes: { type: 'string' },
    twice: { type: 'boolean' },
    trace: { type: 'boolean' },
    workload: { type: 'string' },
    without: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const number = (key: 'seed' | 'from' | 'count' | 'minutes') => {
    const value = values[key] === undefined ? undefined : Number(values[key]);
    if (value !== undefined && !(value >= 0)) refuseCall('sim', `--${key} takes a number`);
    return value;
  };
  const seed = number('seed');
  const minutes = number('minutes');
  const workloads = values.workload?.split(',');
  const unknown = workloads?.find((name) => !(workloadNames as readonly string[]).includes(name));
  if (unknown !== undefined) refuseCall('sim', `--workload takes some of ${workloadNames.join(', ')}`);
  if (values.without !== undefined && !isRule(values.without))
    refuseCall('sim', `--without takes one of ${RULES}`);
  return {
    without: values.without,
    from: seed ?? number('from') ?? 0,
    count: number('count') ?? (minutes !== undefined ? undefined : values.without === undefined ? 100 : 200),
    minutes: minutes ?? 0,
    single: seed !== undefined,
    twice: values.twice ?? false,
    trace: values.trace ?? false,
    workloads: workloads as WorkloadName[] | undefined,
  };
}
