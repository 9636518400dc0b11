import { refuseCall, toolOptions } from '../tool-options.ts';
import { fuzz } from './fuzz.ts';
import { Histogram } from './histogram.ts';
import { SCHEMES, type Scheme } from './plan.ts';

const OPERATIONS_DEFAULT = 20_000;
const INTERRUPTED = new Error('interrupted');

const HELP = `npm run fuzz -- [--only data|handover|tree] [--operations N] [--seed S]
                [--jobs N] [--reduce]

Random system calls on a mount of a real cluster (chunks of 256 KiB), and the
same ones on a plain directory: the answers have to be the same, to the errno.
After every 100 operations all that is there is compared: open files, and,
through another mount whose kernel remembers nothing, names, attributes,
contents, extended attributes and the order of times.

  tree        names and attributes, extended ones and ACLs too, by several users
  data        the bytes of two files, around the ends of chunks, blocks, pages
              and of the file
  handover    both, by two mounts in turns: data by close-to-open ("handover of
              data", "handover of a tree": one of them)

  --operations N   of each (default: ${OPERATIONS_DEFAULT})
  --seed S         which operations; the same seed gives the same ones
  --jobs N         so many clusters at a time, each does a share of the
                   operations (default: 1)
  --reduce         when something differs, look for fewer operations that show
                   it

Needs root, /dev/fuse and a C++ compiler.
`;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const values = toolOptions('fuzz', {
  only: { type: 'string' },
  operations: { type: 'string' },
  seed: { type: 'string' },
  jobs: { type: 'string' },
  reduce: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const { only, reduce } = values;
if (only !== undefined && !Object.keys(SCHEMES).some((name) => name.startsWith(only))) {
  refuseCall('fuzz', '--only takes data, handover or tree');
}
const operations = numberOf('operations', OPERATIONS_DEFAULT);
const jobs = numberOf('jobs', 1);
const seed = values.seed ?? String(Date.now() % 1_000_000);
const ended = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => ended.abort(INTERRUPTED));
const { signal } = ended;
for (const [name, scheme] of Object.entries(SCHEMES)) {
  if (only !== undefined && !name.startsWith(only)) continue;
  const begin = Date.now();
  const histogram = new Histogram();
  await Promise.all(Array.from({ length: jobs }, (_, job) => run({ name, scheme, job, histogram })));
  if (signal.aborted) {
    if (signal.reason !== INTERRUPTED) throw signal.reason;
    process.exitCode = 1;
    break;
  }
  print(`${name}, ${((Date.now() - begin) / 1000).toFixed(1)} s:`);
  for (const line of histogram.lines()) print(`  ${line}`);
}
if (process.exitCode === undefined) print(`no differences; seed ${seed}`);

interface Run {
  readonly name: string;
  readonly scheme: Scheme;
  readonly job: number;
  readonly histogram: Histogram;
}

/** What one cluster does. */
async function run({ name, scheme, job, histogram }: Run): Promise<void> {
  const share = Math.ceil(operations / jobs);
  const seedOfJob = job === 0 ? seed : `${seed}.${job}`;
  try {
    const options = { scheme, seed: seedOfJob, operations: share, histogram, reduce, signal };
    const difference = await fuzz({ ...options, keep: true, say: print });
    if (difference === undefined) return;
    print(difference);
    print(`to repeat: npm run fuzz -- --only '${name}' --seed ${seedOfJob} --operations ${share}`);
    process.exitCode = 1;
  } catch (error) {
    // The others close what they have mounted. When somebody interrupts, what fails meanwhile is no news.
    ended.abort(error);
  }
}

function numberOf(key: 'operations' | 'jobs', usual: number): number {
  const value = Number(values[key] ?? usual);
  if (!Number.isSafeInteger(value) || value < 1) refuseCall('fuzz', `--${key} takes a number from 1`);
  return value;
}
