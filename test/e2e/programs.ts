import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { skips, TestCluster } from './cluster.ts';

/**
 * A test of real programs on a mount: `body` gets a cluster, started. It passes, and says why, where it cannot run or one of
 * the programs is missing.
 */
export function withPrograms(
  programs: readonly string[],
  title: string,
  body: (t: ExecutionContext, cluster: TestCluster) => Promise<void>,
): void {
  test.serial(title, async (t) => {
    const missing = programs.filter((program) => spawnSync('which', [program]).status !== 0);
    if (missing.length > 0) {
      t.log(`skipped: there is no ${missing.join(', no ')}`);
      t.pass();
      return;
    }
    if (skips(t)) return;
    t.timeout(300_000);
    await using cluster = new TestCluster({ chunkSize: '256KiB' });
    await cluster.start();
    await body(t, cluster);
    t.pass();
  });
}
