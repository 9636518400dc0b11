import { refuseCall, toolOptions } from '../tool-options.ts';
import { fuzz } from './fuzz.ts';
import { SCHEMES } from './plan.ts';

const OPERATIONS_DEFAULT = 20_000;

const HELP = `npm run fuzz -- [--only data|handover|tree] [--operations N] [--seed S]
                [--reduce]

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
const operations = Number(values.operations ?? OPERATIONS_DEFAULT);
if (!Number.isSafeInteger(operations) || operations < 1)
  refuseCall('fuzz', '--operations takes a number from 1');
const seed = values.seed ?? String(Date.now() % 1_000_000);
const ended = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => ended.abort());
const { signal } = ended;
try {
  for (const [name, scheme] of Object.entries(SCHEMES)) {
    if (only !== undefined && !name.startsWith(only)) continue;
    const begin = Date.now();
    const { histogram, difference } = await fuzz({
      ...{ scheme, seed, operations, reduce, signal },
      keep: true,
      say: print,
    });
    print(`${name}, ${((Date.now() - begin) / 1000).toFixed(1)} s:`);
    for (const line of histogram) print(`  ${line}`);
    if (difference === undefined) continue;
    print(difference);
    print(`to repeat: npm run fuzz -- --only '${name}' --seed ${seed} --operations ${operations}`);
    process.exitCode = 1;
  }
  if (process.exitCode === undefined) print(`no differences; seed ${seed}`);
} catch (error) {
  if (!signal.aborted) throw error;
  process.exitCode = 1;
}
