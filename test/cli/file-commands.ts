// A cluster of real processes without a mount, and `gfs` as people call it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { GFS } from '../e2e/cluster.ts';
import { DaemonCluster } from '../e2e/daemon-cluster.ts';

export interface Called {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: Buffer;
  readonly err: string;
}

export interface CallOptions {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

export class FileCommands {
  /** Local files; commands run in it. */
  readonly directory = mkdtempSync(join(tmpdir(), 'gfs-commands-'));
  readonly cluster: DaemonCluster;
  readonly #env: NodeJS.ProcessEnv;

  constructor(cluster: DaemonCluster, master: string) {
    this.cluster = cluster;
    this.#env = { ...process.env, GFS_MASTER: master };
  }

  /** Starts `gfs ...`; it is the caller's. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const options = { cwd: this.directory, env: { ...this.#env, ...env } };
    return spawn(process.execPath, [GFS, ...args], options);
  }

  /** `gfs ...`, and what it printed. */
  async call(args: readonly string[], { input = '', env = {} }: CallOptions = {}): Promise<Called> {
    return await finished(this.start(args, env), input);
  }

  /** What it printed on standard output; rejects with what it said when it failed. */
  async gfs(...args: string[]): Promise<string> {
    const { code, out, err } = await this.call(args);
    if (code !== 0 || err !== '') throw new Error(`gfs ${args.join(' ')} ended with ${code}: ${err}`);
    return out.toString();
  }

  /** A script for bash, in which `gfs` can be called. */
  async shell(script: string): Promise<Called> {
    const whole = `gfs() { "${process.execPath}" "${GFS}" "$@"; }\n${script}`;
    return await finished(spawn('bash', ['-c', whole], { cwd: this.directory, env: this.#env }), '');
  }

  async close(): Promise<void> {
    await this.cluster.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One cluster for all tests of a file. */
export function sharedCommands(
  chunkSize: string,
): (title: string, body: (t: ExecutionContext, commands: FileCommands) => Promise<void>) => void {
  let commands: FileCommands | undefined;
  // In a new file system the root's owner alone makes anything.
  const isRoot = process.getuid?.() === 0;
  test.before(async (t) => {
    if (!isRoot) return;
    t.timeout(60_000);
    const cluster = await DaemonCluster.create({ chunkservers: 3, mounts: 0, chunkSize });
    commands = new FileCommands(cluster, cluster.masterAddress);
    await cluster.start();
  });
  test.after.always(async () => {
    await commands?.close();
  });
  return (title, body) =>
    test.serial(title, async (t) => {
      t.timeout(120_000);
      if (commands === undefined) {
        t.log('skipped: not root');
        t.pass();
        return;
      }
      await body(t, commands);
    });
}

async function finished(process: ReturnType<typeof spawn>, input: string | Buffer): Promise<Called> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  process.stdout?.on('data', (piece: Buffer) => out.push(piece));
  process.stderr?.on('data', (piece: Buffer) => err.push(piece));
  // Who ends early does not read all of it.
  process.stdin?.on('error', () => undefined);
  process.stdin?.end(input);
  return await new Promise((resolve) => {
    process.once('close', (code, signal) =>
      resolve({ code, signal, out: Buffer.concat(out), err: Buffer.concat(err).toString() }),
    );
  });
}
