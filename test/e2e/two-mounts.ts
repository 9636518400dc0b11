// Two mounts of one cluster whose kernels believe what they are told for an hour, each with a process of its own.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext, type TestFn } from 'ava';
import { gone, isMounted, kill, ROOT, skips, TestCluster } from './cluster.ts';

const GFS_MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');
/** What is seen within it was told, not asked for again. */
const BELIEF = 'attr_timeout=3600,entry_timeout=3600';
const COUNTS = 'what the kernel asked for';

/** A mount in front, whose log is read. */
export class WatchedMount {
  readonly path: string;
  readonly #process: ChildProcess;
  #log = '';
  #onLine: () => void = () => undefined;

  constructor(master: string, options = BELIEF) {
    this.path = mkdtempSync(join(tmpdir(), 'gfs-coherence-'));
    this.#process = spawn(process.execPath, [GFS_MOUNT, master, this.path, '-f', '-o', options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
      this.#onLine();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get log(): string {
    return this.#log;
  }

  async mounted(): Promise<void> {
    while (!isMounted(this.path)) {
      if (this.#process.exitCode !== null) throw new Error(`gfs-mount ended:\n${this.#log}`);
      await sleep(20);
    }
  }

  /** How often the kernel asked for each operation so far. */
  async requests(): Promise<Record<string, number>> {
    return (await this.counts()).requests;
  }

  /** And how many nodes it knows. */
  async counts(): Promise<{ requests: Record<string, number>; nodes: number }> {
    const before = this.#lines.length;
    kill(this.pid, 'SIGUSR2');
    while (this.#lines.length === before) {
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
      });
    }
    return JSON.parse(this.#lines.at(-1) ?? '{}');
  }

  /** Resolves when the log has so many lines with this text. */
  async logged(text: string, count = 1): Promise<void> {
    while (this.#log.split(text).length <= count) {
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
      });
    }
  }

  async end(): Promise<void> {
    kill(this.pid, 'SIGCONT');
    kill(this.pid, 'SIGTERM');
    const ended = await Promise.race([gone(this.pid).then(() => true), sleep(10_000, false, { ref: false })]);
    if (!ended) kill(this.pid);
    if (isMounted(this.path)) execFileSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Complete ones that tell what was asked for. */
  get #lines(): string[] {
    return this.#log
      .slice(0, this.#log.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line.includes(COUNTS));
  }
}

/** A cluster with two mounts, for all tests of a file. */
export class TwoMounts {
  readonly cluster = new TestCluster({ chunkSize: '256KiB' });
  #mounts: WatchedMount[] = [];

  constructor(test: TestFn) {
    test.before(async (t) => {
      if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
      const { master } = await this.cluster.start();
      this.#mounts = [new WatchedMount(master.address), new WatchedMount(master.address)];
      await Promise.all(this.#mounts.map((mount) => mount.mounted()));
    });
    test.afterEach.always((t) => {
      if (!t.passed) for (const mount of this.#mounts) t.log(mount.log.slice(-2000));
    });
    test.after.always(() => this.#end());
  }

  /** False where nobody can mount. */
  get areThere(): boolean {
    return this.#mounts.length > 0;
  }

  get a(): WatchedMount {
    return this.#mount(0);
  }
  get b(): WatchedMount {
    return this.#mount(1);
  }

  async #end(): Promise<void> {
    await Promise.all(this.#mounts.map((mount) => mount.end()));
    await this.cluster[Symbol.asyncDispose]();
  }

  #mount(index: number): WatchedMount {
    const mount = this.#mounts[index];
    if (mount === undefined) throw new Error('not mounted');
    return mount;
  }
}

interface Places {
  /** One directory, seen through two mounts. */
  readonly a: string;
  readonly b: string;
}

/** A test in a directory of its own. */
export function between(
  mounts: TwoMounts,
  title: string,
  body: (t: ExecutionContext, places: Places) => Promise<void> | void,
): void {
  test.serial(title, async (t) => {
    if (!mounts.areThere) {
      t.pass();
      return;
    }
    // Before the whole run is given up, which would leave the mounts behind.
    t.timeout(90_000);
    const a = mkdtempSync(join(mounts.a.path, 'place-'));
    await body(t, { a, b: join(mounts.b.path, a.slice(mounts.a.path.length + 1)) });
  });
}

/** What a look gives, or the code of its failure. */
export function seen<T>(look: () => T): T | string {
  try {
    return look();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    return code;
  }
}

/** Does it many times, and says how often it failed and how at first. */
export function always(
  t: ExecutionContext,
  rounds: number,
  round: (number: number) => string | undefined,
): void {
  const failures: string[] = [];
  for (let number = 0; number < rounds; number += 1) {
    const failure = round(number);
    if (failure !== undefined) failures.push(`round ${number}: ${failure}`);
  }
  t.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${rounds} rounds`);
}
