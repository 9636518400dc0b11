import test, { type ExecutionContext } from 'ava';
import { skips } from './cluster.ts';
import { DaemonCluster, type DaemonClusterOptions } from './daemon-cluster.ts';

/** A test that is given the cluster of its file. */
export type ClusterTest = (
  title: string,
  body: (t: ExecutionContext, of: DaemonCluster) => Promise<void>,
) => void;

/** One cluster for all tests of a file. Where it cannot be, which `whyNot` may know, they say so and pass. */
export function sharedCluster(
  options: DaemonClusterOptions,
  whyNot: () => string | undefined = () => undefined,
): ClusterTest {
  let cluster: DaemonCluster | undefined;
  let missing: string | undefined;
  test.before(async (t) => {
    t.timeout(60_000);
    if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
    missing = whyNot();
    if (missing !== undefined) return;
    cluster = await DaemonCluster.create(options);
    await cluster.start();
  });
  test.after.always(async () => {
    await cluster?.close();
  });
  return (title, body) =>
    test.serial(title, async (t) => {
      if (cluster === undefined) {
        t.log(`skipped: ${missing ?? 'nothing can be mounted'}`);
        t.pass();
        return;
      }
      t.timeout(120_000);
      await body(t, cluster);
    });
}
