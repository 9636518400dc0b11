import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileProgram } from '../compile-program.ts';
import { ROOT, TestCluster } from '../e2e/cluster.ts';
import type { Checks } from './checks.ts';
import { runChecks } from './run.ts';

/** As root mounts other file systems: what is in it counts for everybody, set-id bits too. */
const MOUNT_OPTIONS = 'allow_other,suid';

export interface Places {
  /** An ordinary file system's. */
  readonly plain: string;
  /** Undefined: a cluster is started, and mounted. */
  readonly mount?: string | undefined;
}

export interface Report {
  readonly count: number;
  /** How many checks made calls as somebody else than root. */
  readonly ordinaryCount: number;
  /** What is wrong with the checks themselves: they fail on the ordinary file system. */
  readonly wrong: ReadonlyMap<string, string>;
  /** What is wrong with the mount. */
  readonly failed: ReadonlyMap<string, string>;
}

/** The list on an ordinary directory and on a mount. Undefined: there is no compiler for the callers. */
export async function runList(checks: Checks, places: Places): Promise<Report | undefined> {
  const work = await mkdtemp(join(tmpdir(), 'gfs-posix-'));
  try {
    await chmod(work, 0o755);
    const program = compileProgram(join(ROOT, 'test/posix/caller.cc'), work);
    if (program === undefined) return undefined;
    if (places.mount !== undefined) return await compare(program, checks, places.plain, places.mount);
    await using cluster = new TestCluster({ chunkservers: 1, replication: 1, chunkSize: '1MiB' });
    await chmod(cluster.directory, 0o755);
    await cluster.start();
    const mount = await cluster.mountAgain(MOUNT_OPTIONS);
    return await compare(program, checks, places.plain, mount);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function compare(program: string, checks: Checks, plain: string, mount: string): Promise<Report> {
  const [there, here] = await Promise.all([inside(plain, program, checks), inside(mount, program, checks)]);
  return {
    count: Object.keys(checks).length,
    ordinaryCount: here.ordinaryCount,
    wrong: there.failures,
    failed: new Map([...here.failures].filter(([name]) => !there.failures.has(name))),
  };
}

async function inside(place: string, program: string, checks: Checks) {
  const directory = await mkdtemp(join(place, 'checks-'));
  try {
    await chmod(directory, 0o755);
    return await runChecks(program, directory, checks);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
