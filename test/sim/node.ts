import type { Disk } from '../../src/base/disk.ts';
import { messageOf } from '../../src/base/errors.ts';
import type { Network } from '../../src/rpc/network.ts';
import { SimDisk } from './sim-disk.ts';
import { SimEnv } from './sim-env.ts';
import type { SimNetwork } from './sim-network.ts';
import type { Simulation } from './simulation.ts';

/** The world as a program gets it from the machine that starts it. */
export interface Process {
  readonly env: SimEnv;
  readonly disk: Disk;
  readonly network: Network;
  /** The program says that it cannot go on. */
  readonly onFatal: (error: unknown) => void;
}

/** A program; what it is when it rejects is for the node to judge. */
export type Launch = (process: Process) => Promise<void>;

/** How often a machine looks whether all that its last process sent has arrived. */
const DELIVERY_MS = 10;

export interface NodeOptions {
  /**
   * No process begins before all that the last one sent has arrived or is lost. Of clients: what a dead one had sent may be
   * carried out for as long as it is on its way, and nobody promised the next one that it would not be.
   */
  readonly startsWhenDelivered?: boolean;
}

/** A machine with one program, which is started again after each of its ends. */
export class Node {
  readonly name: string;
  readonly disk: SimDisk;
  /** Called when power is lost, for what is kept beside the disk. */
  readonly onPowerLost: (() => void)[] = [];
  readonly #simulation: Simulation;
  readonly #network: SimNetwork;
  readonly #launch: Launch;
  readonly #options: NodeOptions;
  #process: Process | undefined;
  #last: SimEnv | undefined;
  #starts = 0;
  #startedMs = 0;

  constructor(
    simulation: Simulation,
    network: SimNetwork,
    name: string,
    launch: Launch,
    options: NodeOptions = {},
  ) {
    this.name = name;
    this.#options = options;
    this.#simulation = simulation;
    this.#network = network;
    this.#launch = launch;
    this.disk = new SimDisk(simulation, name);
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  /** When its last process began. */
  get startedMs(): number {
    return this.#startedMs;
  }

  start(): void {
    if (this.#process !== undefined) return;
    const { startsWhenDelivered = false } = this.#options;
    if (startsWhenDelivered && this.#last !== undefined && this.#network.isOnItsWay(this.#last)) {
      this.#simulation.schedule(DELIVERY_MS, () => this.start());
      return;
    }
    this.#network.powerOn(this.name);
    this.#starts += 1;
    this.#startedMs = this.#simulation.nowMs;
    const env = new SimEnv(this.#simulation, `${this.name}.${this.#starts}`);
    this.#simulation.trace(`${env.name} starts`);
    const process: Process = {
      env,
      disk: this.disk.processView(env),
      network: this.#network.processView(env, this.name),
      onFatal: (error) => this.#onFailed(env, error),
    };
    this.#process = process;
    this.#last = env;
    this.#launch(process).catch((error: unknown) => this.#onFailed(env, error));
  }

  /** kill -9: the disk loses nothing, peers are told by the machine. */
  kill(): void {
    const env = this.#process?.env;
    if (env === undefined) return;
    this.#simulation.trace(`${env.name} is killed`);
    this.#process = undefined;
    this.disk.kill(env);
    this.#network.processDied(env);
  }

  /** SIGSTOP: it hears and does nothing until `resume`, and nobody is told. */
  pause(): void {
    const env = this.#process?.env;
    if (env === undefined || env.paused) return;
    this.#simulation.trace(`${env.name} stands still`);
    env.pause();
    this.#network.processPaused(env);
  }

  resume(): void {
    const env = this.#process?.env;
    if (env === undefined || !env.paused) return;
    this.#simulation.trace(`${env.name} goes on`);
    env.resume();
  }

  /** The machine is gone until `start`, with all that was not synced. */
  powerCut(): void {
    this.#process = undefined;
    this.#network.powerOff(this.name);
    this.disk.powerCut();
    for (const listener of this.onPowerLost) listener();
  }

  /** Nothing that happens here is a reason for a program to give up. */
  #onFailed(env: SimEnv, error: unknown): void {
    if (env.alive)
      this.#simulation.fail(new Error(`${env.name} gave up: ${messageOf(error)}`, { cause: error }));
  }
}
