import { setImmediate } from 'node:timers/promises';
import { refuseCall, toolOptions } from '../tool-options.ts';
import { Chaos } from './chaos.ts';
import { ACKNOWLEDGED_PER_MINUTE_MIN, KILLS_PER_MINUTE_MIN } from './verdict.ts';

const HELP = `npm run chaos -- [--minutes M] [--seed N] [--keep]

A master, four chunkservers and three mounts, all real, on chunks of 256 KiB.
Programs append lines to one log (some keep it open, shells open it for each
line, one is interrupted by a timer 100 times a second), overwrite and sync
records, make files, and follow the log on all mounts. Meanwhile daemons and
mounts are killed with -9, stand still and start again, and each, in a network
namespace of its own, is cut off from some or all of the others, in one
direction or both.

Then: each acknowledged line is in the log once, whole, in the order of its
writer, others at most once; what was synced is there; readers saw whole lines
that stayed, and are less than a second behind when it is quiet; stat was never
behind an acknowledged append; the members of each chunk are identical; all of
it also after everybody was killed, through a new mount. A run with less than
${ACKNOWLEDGED_PER_MINUTE_MIN} acknowledged operations or ${KILLS_PER_MINUTE_MIN} kills a minute fails.

  --minutes M   how long things go wrong (default: 10)
  --seed N      which accidents, in which order
  --keep        data, logs and manifests stay, as they do after a failure

Needs root and /dev/fuse. Without \`ip\` and \`nsenter\` the network is not split;
that is said.
`;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const values = toolOptions('chaos', {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const minutes = Number(values.minutes ?? 10);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  refuseCall('chaos', '--minutes and --seed take numbers');
}
print(`seed ${seed}; to repeat the order of accidents: npm run chaos -- --seed ${seed} --minutes ${minutes}`);
let chaos: Chaos | undefined;
let wasEnded = false;
// From before there is anything to leave behind: while a cluster is being made, a signal waits until it can be closed.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    wasEnded = true;
    const end = () => process.exit(1);
    chaos?.close({ keep: values.keep }).then(end, end);
  });
}
try {
  chaos = await Chaos.create(seed, print);
} finally {
  // Signals that came meanwhile are heard in the next turn.
  await setImmediate();
  if (wasEnded) {
    await chaos?.close({ keep: false });
    process.exit(1);
  }
}
let isGood = false;
try {
  isGood = await chaos.run(minutes);
} finally {
  const keep = values.keep || !isGood;
  await chaos.close({ keep });
  if (keep) print(`logs, data and manifests are in ${chaos.directory}`);
}
process.exitCode = isGood ? 0 : 1;
