import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Env, Timer } from '../base/env.ts';
import { SECOND_MS } from '../base/units.ts';
import type { SystemReport } from '../rpc/messages.ts';
import type { CollectRequest, DisksPart, MachinePart } from './system-report-parts.ts';
import type { SystemReporter } from './system-reporter.ts';

const COLLECT_INTERVAL_MS = 5 * SECOND_MS;
/** A child that has not answered by then is stuck, on a dead mount most likely. */
const COLLECT_MS_MAX = 10 * SECOND_MS;

export interface MachineReporterOptions {
  readonly env: Env;
  /** Whose disks are reported. */
  readonly directories: readonly string[];
  readonly intervalMs?: number | undefined;
  readonly collectMsMax?: number | undefined;
  /** The program that is run as the child. */
  readonly script?: string | undefined;
}

/**
 * What `systeminformation` and `node-disk-info` say of this machine. Both can hang for good on a mount that does not
 * answer, so they run in a child process, which is killed when it takes too long and started anew for the next round.
 */
export class MachineReporter implements SystemReporter {
  readonly #options: MachineReporterOptions;
  readonly #env: Env;
  #child: ChildProcess | undefined;
  #timer: Timer | undefined;
  #latest: SystemReport | undefined;
  #collecting: Collection | undefined;
  #id = 0;
  #closed = false;

  private constructor(options: MachineReporterOptions) {
    this.#options = options;
    this.#env = options.env;
  }

  static start(options: MachineReporterOptions): MachineReporter {
    const reporter = new MachineReporter(options);
    reporter.#schedule(0);
    return reporter;
  }

  /** Of the child that collects; undefined between a kill and the next round. */
  get childPid(): number | undefined {
    return this.#child?.pid;
  }

  latest(): SystemReport | undefined {
    return this.#latest;
  }

  collect(): Promise<SystemReport> {
    this.#collecting ??= this.#begin();
    return this.#collecting.promise;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#collecting?.end('the server is closing');
    this.#kill();
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#env.setTimer(delayMs, () => {
      this.#collecting ??= this.#begin();
      this.#schedule(this.#options.intervalMs ?? COLLECT_INTERVAL_MS);
    });
  }

  #begin(): Collection {
    this.#id += 1;
    const id = this.#id;
    const collection = new Collection(id, this.#env.nowMs(), (report) => {
      timer.cancel();
      this.#collecting = undefined;
      this.#latest = report;
    });
    const timer = this.#env.setTimer(this.#options.collectMsMax ?? COLLECT_MS_MAX, () => {
      this.#env.log
        .of('daemon')
        .warn({ pid: this.#child?.pid }, 'the system report hangs: its process is killed');
      this.#kill();
      collection.end('timed out');
    });
    const request: CollectRequest = { id, directories: this.#options.directories };
    if (this.#closed) collection.end('the server is closing');
    else this.#childProcess().send(request, (error) => error && this.#lost('not reached'));
    return collection;
  }

  #childProcess(): ChildProcess {
    if (this.#child?.connected) return this.#child;
    const script =
      this.#options.script ?? fileURLToPath(new URL('./system-report-child.js', import.meta.url));
    const child = fork(script, [], { execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    child.on('message', (message) => this.#collecting?.receive(message as MachinePart | DisksPart));
    child.on('error', () => this.#lost('could not be started', child));
    child.on('exit', () => this.#lost('ended', child));
    // It is ours to kill, but no reason for this process to live.
    child.unref();
    child.channel?.unref();
    this.#child = child;
    return child;
  }

  #lost(why: string, child = this.#child): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#collecting?.end(`its process ${why}`);
  }

  #kill(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
  }
}

/** One round: complete when both parts are there, or when it is ended with what there is. */
class Collection {
  readonly promise: Promise<SystemReport>;
  readonly #id: number;
  readonly #startedAtMs: number;
  readonly #onDone: (report: SystemReport) => void;
  #resolve: (report: SystemReport) => void = () => undefined;
  #machine: MachinePart | undefined;
  #disks: DisksPart | undefined;
  #done = false;

  constructor(id: number, startedAtMs: number, onDone: (report: SystemReport) => void) {
    this.#id = id;
    this.#startedAtMs = startedAtMs;
    this.#onDone = onDone;
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  receive(part: MachinePart | DisksPart): void {
    if (part.id !== this.#id) return;
    if (part.kind === 'machine') this.#machine = part;
    else this.#disks = part;
    if (this.#machine !== undefined && this.#disks !== undefined) this.end();
  }

  end(problem?: string): void {
    if (this.#done) return;
    this.#done = true;
    const report = reportOf(this.#startedAtMs, this.#machine, this.#disks, problem ?? 'missing');
    this.#onDone(report);
    this.#resolve(report);
  }
}

function reportOf(
  collectedAtMs: number,
  machine: MachinePart | undefined,
  disks: DisksPart | undefined,
  problem: string,
): SystemReport {
  return {
    collectedAtMs,
    disks: disks?.disks ?? [],
    memoryTotalBytes: machine?.memoryTotalBytes ?? 0,
    memoryAvailableBytes: machine?.memoryAvailableBytes ?? 0,
    swapTotalBytes: machine?.swapTotalBytes ?? 0,
    swapUsedBytes: machine?.swapUsedBytes ?? 0,
    cpuCount: machine?.cpuCount ?? 0,
    cpuLoadPercent: machine?.cpuLoadPercent ?? 0,
    loadAverage: machine?.loadAverage ?? 0,
    networks: machine?.networks ?? [],
    // Known by the server alone, who fills it in.
    chunkCount: 0,
    processMemoryBytes: process.memoryUsage.rss(),
    problems: [
      ...(machine?.problems ?? [`machine: ${problem}`]),
      ...(disks?.problems ?? [`disks: ${problem}`]),
    ],
  };
}
