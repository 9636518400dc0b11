// A real cluster for end-to-end tests: processes on loopback, ports given by the kernel, everything in a temporary
// directory that is gone afterwards, however the test ended.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const ROOT = join(import.meta.dirname, '../../..');
export const GFS = join(ROOT, 'dist/src/cli/gfs.js');
const GFS_MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');

/** Why end-to-end tests cannot run here; undefined: they can. */
const skipReason: string | undefined = (() => {
  if (process.getuid?.() !== 0) return 'not root';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return 'no /dev/fuse';
  }
})();

/** Whether a test that mounts must be skipped on this machine; then it passes, and its log says why. */
export function skips(t: { log(text: string): void; pass(): void }): boolean {
  if (skipReason === undefined) return false;
  t.log(`skipped: ${skipReason}`);
  t.pass();
  return true;
}

/** What `gfs up` writes while it runs. */
export interface ClusterFile {
  readonly master: { pid: number; address: string };
  readonly chunkservers: { id: number; pid: number; address: string; data: string }[];
  readonly gateway: { pid: number; address: string };
  readonly mount: { pid: number; path: string; listen: string };
}

export interface ClusterOptions {
  readonly chunkservers?: number;
  readonly chunkSize?: string;
  readonly replication?: number;
  readonly transport?: 'frames' | 'grpc';
  readonly reserve?: string;
  /** What `gfs` is called by; usually the one that the build made. */
  readonly program?: readonly string[];
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestCluster {
  readonly directory: string;
  readonly mount: string;
  readonly data: string;
  readonly #options: ClusterOptions;
  #up: ChildProcess | undefined;
  readonly #otherMounts: { readonly process: ChildProcess; readonly path: string }[] = [];
  stdout = '';
  stderr = '';

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), 'gfs-e2e-'));
    this.mount = join(this.directory, 'mnt');
    this.data = join(this.directory, 'data');
  }

  /** Starts `gfs up` and resolves when it says that it is up. */
  async start(): Promise<ClusterFile> {
    const { chunkservers = 3, chunkSize, replication, transport, reserve = '64MiB' } = this.#options;
    const [command, ...first] = this.#program;
    const up = spawn(
      command,
      [
        ...[...first, 'up', '--data', this.data, '--mount', this.mount, '--listen', '127.0.0.1:0'],
        ...['--gateway', '127.0.0.1:0'],
        ...['--chunkservers', String(chunkservers), '--reserve', reserve],
        ...(chunkSize === undefined ? [] : ['--chunk-size', chunkSize]),
        ...(replication === undefined ? [] : ['--replication', String(replication)]),
        ...(transport === undefined ? [] : ['--transport', transport]),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#up = up;
    this.stdout = '';
    this.stderr = '';
    up.stdout.on('data', (text: Buffer) => {
      this.stdout += text.toString();
    });
    up.stderr.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
    await this.#until(() => this.stdout.includes('Ctrl-C stops it'), 'gfs up to be up');
    return this.file;
  }

  /** Mounts the file system at another place, by a process of its own; resolves to the place when it serves. */
  async mountAgain(options = 'defaults', driver = 'kernel'): Promise<string> {
    const path = join(this.directory, `mnt${this.#otherMounts.length + 2}`);
    mkdirSync(path, { recursive: true });
    const argv = [GFS_MOUNT, this.file.master.address, path, '-f', '-o', options, '--driver', driver];
    const mount = spawn(process.execPath, argv, { stdio: 'ignore' });
    this.#otherMounts.push({ process: mount, path });
    while (!isMounted(path)) {
      if (mount.exitCode !== null) throw new Error(`gfs-mount ended with ${mount.exitCode}`);
      await sleep(20);
    }
    return path;
  }

  /** Of the processes that `mountAgain` began. */
  get otherPids(): number[] {
    return this.#otherMounts.map(({ process: { pid = 0 } }) => pid);
  }

  get up(): ChildProcess {
    if (this.#up === undefined) throw new Error('not started');
    return this.#up;
  }

  get running(): boolean {
    return (
      existsSync(join(this.data, 'cluster.json')) && this.up.exitCode === null && this.up.signalCode === null
    );
  }

  get file(): ClusterFile {
    return JSON.parse(readFileSync(join(this.data, 'cluster.json'), 'utf8')) as ClusterFile;
  }

  /** SIGTERM to `gfs up`, and its exit code. */
  async stop(): Promise<number | null> {
    const up = this.up;
    if (up.exitCode === null && up.signalCode === null) {
      const ended = new Promise<void>((resolve) => up.once('exit', () => resolve()));
      up.kill('SIGTERM');
      await ended;
    }
    return up.exitCode;
  }

  /** kill -9 of `gfs up` and of every daemon, and the dead mount taken away. */
  async killAll(): Promise<void> {
    const { master, chunkservers, gateway, mount } = this.file;
    const pids = [master.pid, ...chunkservers.map((server) => server.pid), gateway.pid, mount.pid];
    for (const pid of pids) kill(pid);
    if (this.up.exitCode === null) {
      const ended = new Promise<void>((resolve) => this.up.once('exit', () => resolve()));
      this.up.kill('SIGKILL');
      await ended;
    }
    for (const pid of pids) await gone(pid);
  }

  /** `gfs COMMAND ... --master ...`, its exit code and what it printed. */
  async gfs(...args: string[]): Promise<Finished> {
    const [command, ...first] = this.#program;
    return await run(command, [...first, ...args, '--master', this.file.master.address]);
  }

  /** A shell script in a mount; rejects with what it said when it fails. */
  async shell(script: string, mount = this.mount): Promise<string> {
    const { code, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script], mount);
    if (code !== 0) throw new Error(`exit ${code}: ${script}\n${stdout.slice(-2000)}${stderr.slice(-2000)}`);
    return stdout;
  }

  /** The end of a daemon's log, for failed tests. */
  log(label: string): string {
    const file = join(this.data, 'log', `${label}.log`);
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-4000) : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.unmountOthers();
      if (this.#up !== undefined && existsSync(join(this.data, 'cluster.json'))) {
        const stopped = await Promise.race([
          this.stop().then(() => true),
          sleep(20_000, false, { ref: false }),
        ]);
        if (!stopped) await this.killAll();
      } else {
        this.#up?.kill('SIGKILL');
      }
    } finally {
      if (isMounted(this.mount)) execFileSync('umount', ['-l', this.mount]);
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /** Ends the mounts of `mountAgain`. */
  async unmountOthers(): Promise<void> {
    for (const { process: mount, path } of this.#otherMounts.splice(0)) {
      const pid = mount.pid ?? 0;
      kill(pid, 'SIGTERM');
      const ended = await Promise.race([gone(pid).then(() => true), sleep(10_000, false, { ref: false })]);
      if (!ended) kill(pid);
      if (isMounted(path)) execFileSync('umount', ['-l', path]);
    }
  }

  get #program(): readonly [string, ...string[]] {
    const [command, ...more] = this.#options.program ?? [];
    return command === undefined ? [process.execPath, GFS] : [command, ...more];
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    while (!condition()) {
      if (this.up.exitCode !== null || this.up.signalCode !== null) {
        throw new Error(`waited for ${what}, but it ended:\n${this.stdout}${this.stderr}`);
      }
      await sleep(20);
    }
  }
}

export function isMounted(path: string): boolean {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === path);
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It had ended before.
  }
}

/** Resolves when no process has this pid any more (or only a zombie that nobody waited for). */
export async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      if (/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return;
    } catch {
      return;
    }
    await sleep(20);
  }
}

export async function run(command: string, args: readonly string[], cwd?: string): Promise<Finished> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, [...args], {
      ...(cwd === undefined ? {} : { cwd }),
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}
