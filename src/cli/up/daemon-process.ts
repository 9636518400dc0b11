import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import { NODE_FLAGS } from '../../base/node-flags.ts';
import { MiB } from '../../base/units.ts';
import type { FailedMessage, ReadyMessage } from '../daemon.ts';

/** Beyond it a daemon's log file is put aside at the next start; one old file is kept. */
const LOG_FILE_BYTES_MAX = 64 * MiB;

export interface DaemonInit {
  readonly env: Env;
  /** For people: "master", "chunkserver 2", "mount". */
  readonly label: string;
  /** The script, and its arguments. */
  readonly argv: readonly string[];
  readonly logFile: string;
  /** Marks the process as one of this cluster's (see `leftovers.ts`). */
  readonly environment: Readonly<Record<string, string>>;
  /** The daemon ended after it was ready, and nobody had asked it to. */
  readonly onDied: (daemon: DaemonProcess, how: string) => void;
}

/** One daemon of the cluster, in a process group of its own: Ctrl-C must not reach it before the mount has flushed. */
export class DaemonProcess {
  readonly label: string;
  readonly logFile: string;
  readonly pid: number;
  readonly #env: Env;
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  readonly #ready: Promise<Readonly<Record<string, unknown>>>;
  #served = false;
  #stopping = false;
  /** In the daemon's own words; its log may lie on a disk that is full. */
  #failed: string | undefined;

  constructor({ env, label, argv, logFile, environment, onDied }: DaemonInit) {
    this.#env = env;
    this.label = label;
    this.logFile = logFile;
    const log = openLog(logFile);
    this.#child = spawn(process.execPath, [...NODE_FLAGS, ...argv], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...withoutKeys(process.env), ...environment },
    });
    closeSync(log);
    if (this.#child.pid === undefined) throw new GfsError('UNAVAILABLE', `cannot start ${label}`);
    this.pid = this.#child.pid;
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        const how = this.#failed ?? (signal === null ? `exit code ${code}` : signal);
        resolve(how);
        if (this.#served && !this.#stopping) onDied(this, how);
      });
    });
    this.#ready = this.#untilReady();
    // A daemon that ends early is reported by onDied as well, and nobody may be waiting for it to be ready any more.
    this.#ready.catch(() => undefined);
  }

  /** What the daemon told once it served; rejects with its own words when it ends before. */
  ready(): Promise<Readonly<Record<string, unknown>>> {
    return this.#ready;
  }

  /** SIGTERM, and SIGKILL for one that is still there after `patienceMs`. Resolves when it has ended. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const timer = this.#env.setTimer(patienceMs, () => {
      process.stderr.write(`gfs up: ${this.label} (pid ${this.pid}) does not stop, killing it\n`);
      this.#child.kill('SIGKILL');
    });
    await this.#ended;
    timer.cancel();
  }

  #untilReady(): Promise<Readonly<Record<string, unknown>>> {
    return new Promise((resolve, reject) => {
      this.#child.on('message', (message: ReadyMessage | FailedMessage) => {
        if ('ready' in message) {
          this.#served = true;
          resolve(message.ready);
        } else this.#failed = message.failed;
      });
      this.#child.once('error', (error) =>
        reject(new GfsError('UNAVAILABLE', `${this.label}: ${error.message}`)),
      );
      this.#ended.then((how) => {
        reject(
          new GfsError(
            'UNAVAILABLE',
            `${this.label} did not start: ${this.#failed ?? `${how}, see ${this.logFile}`}`,
          ),
        );
      }, reject);
    });
  }
}

/** Keys that were meant for `gfs up` (GFS_LISTEN, ...) are handed on as flags where they concern a daemon. */
function withoutKeys(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('GFS_')));
}

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > LOG_FILE_BYTES_MAX) renameSync(file, `${file}.old`);
  return openSync(file, 'a');
}
