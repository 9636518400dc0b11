// A process that runs seeds for `Pool`.
import { messageOf } from '../../src/base/errors.ts';
import type { Outcome, Task } from './pool.ts';
import { runSeed } from './story.ts';

// Ctrl-C is for whoever gives out the seeds.
process.on('SIGINT', () => undefined);
process.on('message', (task: Task) => {
  void run(task).then((outcome) => process.send?.(outcome));
});

async function run({ seed, twice, workloads }: Task): Promise<Outcome> {
  const before = process.cpuUsage();
  const plan = workloads === undefined ? {} : { workloads };
  try {
    const { traceHash, counts } = await runSeed(seed, { plan });
    if (twice && (await runSeed(seed, { plan })).traceHash !== traceHash) {
      return { error: 'two runs of one seed differ' };
    }
    const { user, system } = process.cpuUsage(before);
    return { traceHash, counts: [...counts], seconds: (user + system) / 1e6 };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
