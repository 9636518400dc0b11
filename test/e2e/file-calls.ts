import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { compileProgram } from '../compile-program.ts';
import { ROOT, run, skips, TestCluster } from './cluster.ts';

/** A directory of a cluster seen through two mounts, and a program that does system calls on one open file (file-calls.cc). */
export interface FileCalls {
  readonly cluster: TestCluster;
  readonly program: string;
  readonly here: string;
  readonly there: string;
  /** What each call gave, one line each. */
  at(path: string, flags: string, ...calls: readonly string[]): Promise<string[]>;
}

/** Tests that share a cluster and are run one after the other, each in a directory of its own. */
export function withFileCalls(): (
  title: string,
  body: (t: ExecutionContext, calls: FileCalls) => Promise<void>,
) => void {
  let cluster: TestCluster | undefined;
  let other = '';
  let program: string | undefined;
  test.before(async (t) => {
    if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
    cluster = new TestCluster({ chunkSize: '256KiB' });
    await cluster.start();
    other = await cluster.mountAgain();
    await fs.chmod(cluster.directory, 0o755);
    program = compileProgram(join(ROOT, 'test/e2e/file-calls.cc'), cluster.directory);
  });
  test.after.always(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });
  return (title, body) => {
    test.serial(title, async (t) => {
      t.timeout(180_000);
      if (cluster === undefined || program === undefined) {
        if (!skips(t)) t.log('skipped: no C++ compiler');
        t.pass();
        return;
      }
      const path = program;
      const here = await fs.mkdtemp(join(cluster.mount, 'place-'));
      await fs.chmod(here, 0o777);
      const there = join(other, here.slice(cluster.mount.length + 1));
      const at: FileCalls['at'] = async (file, flags, ...calls) =>
        (await run(path, [file, flags, ...calls])).stdout.trimEnd().split('\n').filter(Boolean);
      await body(t, { cluster, program: path, here, there, at });
    });
  };
}
