import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MINUTE_MS, SECOND_MS } from '../../src/base/units.ts';
import { isMounted } from '../e2e/cluster.ts';
import { DaemonCluster } from '../e2e/daemon-cluster.ts';
import { whyNoNamespaces } from '../e2e/namespaces.ts';
import { type Accident, accidents } from './accidents.ts';
import { Programs } from './programs.ts';
import { compileTimerWriter } from './timer-writer.ts';
import { filesOf, judge, judgeCopy, tooLittle } from './verdict.ts';

/** All is done in it: it is not there when nothing is mounted. */
const WORK = 'work';
/** Mounts that programs write on; on one more they only read. */
const WRITING_MOUNTS = 2;
/** The writers go on for so long when nothing goes wrong any more: what they could not finish is finished then. */
const PEACE_MS = 5 * SECOND_MS;
/** A reader is no more behind than this when all is quiet. */
const BEHIND_MS_MAX = SECOND_MS;
/** Members are identical "once it is quiet": a server that just came back is reconciled first. */
const QUIET_MS_MAX = 30 * SECOND_MS;

/** One run: a cluster, programs on it, accidents, and what they come to. */
export class Chaos {
  readonly #cluster: DaemonCluster;
  readonly #programs: Programs;
  readonly #seed: number;
  readonly #print: (line: string) => void;
  readonly #counts = { kill: 0, pause: 0, split: 0 };
  #closing: Promise<void> | undefined;

  static async create(seed: number, print: (line: string) => void): Promise<Chaos> {
    const whyNot = whyNoNamespaces();
    if (whyNot !== undefined) print(`the network is not split: ${whyNot}`);
    const cluster = await DaemonCluster.create({
      mounts: WRITING_MOUNTS + 1,
      namespaces: whyNot === undefined,
    });
    try {
      return new Chaos(seed, print, cluster);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  private constructor(seed: number, print: (line: string) => void, cluster: DaemonCluster) {
    this.#seed = seed;
    this.#print = print;
    this.#cluster = cluster;
    const timerWriter = compileTimerWriter(cluster.directory);
    if (timerWriter === undefined) print('nobody appends under an interval timer: there is no C++ compiler');
    this.#programs = new Programs(cluster.directory, timerWriter);
  }

  get directory(): string {
    return this.#cluster.directory;
  }

  /** Resolves to whether all promises were kept, under enough load. */
  async run(minutes: number): Promise<boolean> {
    await this.#cluster.start();
    mkdirSync(this.#cluster.path(WORK));
    const directories = this.#cluster.mounts.map(({ path }) => join(path, WORK));
    for (let mount = 0; mount < WRITING_MOUNTS; mount += 1) {
      const other = directories[(mount + 1) % WRITING_MOUNTS] ?? '';
      this.#programs.startWriters(mount, directories[mount] ?? '', other);
    }
    for (const [mount, directory] of directories.entries())
      this.#programs.startReader(mount, directory, { strict: mount >= WRITING_MOUNTS });
    await this.#suffer(minutes * MINUTE_MS);
    await this.#allServe();
    await sleep(PEACE_MS);
    const problems = await this.#quiet();
    // What was acknowledged is there as well when everybody died, through a mount that knows nothing.
    await this.#killAll();
    await this.#allServe();
    this.#assertGoesOn();
    const fresh = await this.#cluster.mountAgain();
    const told = this.#programs.told();
    const directory = join(fresh.path, WORK);
    problems.push(...judge(directory, told));
    const log = readFileSync(join(directory, 'log'));
    for (const copy of this.#programs.copies) problems.push(...judgeCopy(readFileSync(copy), log));
    problems.push(...(await this.#differences()));
    const acknowledged = told.reduce((sum, one) => sum + one.acknowledged, 0);
    return this.#verdict(problems, acknowledged, minutes);
  }

  /** Ends everything. Safe to call twice, and while `run` goes on. */
  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    this.#closing ??= this.#close(keep);
    await this.#closing;
  }

  async #close(keep: boolean): Promise<void> {
    // Ctrl-C reached all of them at once: mounts wait for servers that have ended, and programs for the mounts.
    await this.#killAll();
    await this.#programs.stopWriters();
    await this.#programs.stopReaders();
    await this.#cluster.close({ keep });
  }

  /** Lets things go wrong for so long, and waits until the last of them is over. */
  async #suffer(forMs: number): Promise<void> {
    const nodes = this.#cluster.daemons.map(({ name }) => name);
    const underWay = new Set<Promise<unknown>>();
    const failures: unknown[] = [];
    const endMs = Date.now() + forMs;
    for (const { afterMs, accident } of accidents(this.#seed, nodes, this.#cluster.network !== undefined)) {
      await sleep(Math.min(afterMs, endMs - Date.now()));
      if (Date.now() >= endMs || this.#closing !== undefined || failures.length > 0) break;
      const happening = this.#happen(accident)
        .catch((error: unknown) => failures.push(error))
        .finally(() => underWay.delete(happening));
      underWay.add(happening);
    }
    await Promise.all(underWay);
    // What cannot go wrong as planned (`ip` heard Ctrl-C, too) ends the run in order.
    if (failures.length > 0) throw failures[0];
  }

  async #happen(accident: Accident): Promise<void> {
    const { kind, forMs } = accident;
    const { network } = this.#cluster;
    switch (kind) {
      case 'pause':
        this.#counts.pause += 1;
        return await this.#daemon(accident.victim).pause(forMs);
      case 'kill': {
        const victims = accident.victims.map((name) => this.#daemon(name));
        for (const victim of victims) if (victim.running) this.#counts.kill += 1;
        await Promise.all(victims.map((victim) => victim.kill()));
        await sleep(forMs);
        if (this.#closing === undefined) for (const victim of victims) victim.start();
        return;
      }
      case 'part': {
        this.#counts.split += 1;
        const mend = network?.part(...accident.victims);
        await sleep(forMs);
        return mend?.();
      }
      default: {
        this.#counts.split += 1;
        const mend = network?.[kind](accident.victim);
        await sleep(forMs);
        return mend?.();
      }
    }
  }

  #daemon(name: string) {
    const daemon = this.#cluster.daemons.find((one) => one.name === name);
    if (daemon === undefined) throw new Error(`there is no ${name}`);
    return daemon;
  }

  async #killAll(): Promise<void> {
    await Promise.all(this.#cluster.daemons.map((daemon) => daemon.kill()));
  }

  /** Nothing is started any more that `close` would not see. */
  #assertGoesOn(): void {
    if (this.#closing !== undefined) throw new Error('the run was ended');
  }

  async #allServe(): Promise<void> {
    for (;;) {
      this.#assertGoesOn();
      // A mount that found no master in time has ended, and somebody has to start it again.
      for (const daemon of this.#cluster.daemons) daemon.start();
      const serving = await Promise.allSettled(this.#cluster.daemons.map((daemon) => daemon.ready()));
      const mounted = this.#cluster.mounts.every(({ path }) => isMounted(path));
      if (mounted && serving.every(({ status }) => status === 'fulfilled')) return;
    }
  }

  /** Stops the writers; what readers and servers come to when nobody writes. */
  async #quiet(): Promise<string[]> {
    await this.#programs.stopWriters();
    const { size } = statSync(join(this.#cluster.path(WORK), 'log'));
    const quietMs = Date.now();
    const behind = () => this.#programs.copies.filter((copy) => statSync(copy).size < size);
    while (behind().length > 0 && Date.now() - quietMs < BEHIND_MS_MAX) await sleep(10);
    const problems = behind().map(
      (copy) =>
        `a reader had seen ${statSync(copy).size} of ${size} bytes after ${BEHIND_MS_MAX} ms of quiet`,
    );
    await this.#programs.stopReaders();
    problems.push(...(await this.#differences()));
    return problems;
  }

  /** What members of chunks differ in, when they had the time to become equal. */
  async #differences(): Promise<readonly string[]> {
    const paths = filesOf(this.#cluster.path(WORK)).map((name) => join(WORK, name));
    const endMs = Date.now() + QUIET_MS_MAX;
    for (;;) {
      const differences = await this.#cluster.checkMembers(paths);
      if (differences.length === 0 || Date.now() > endMs) return differences;
      await sleep(SECOND_MS);
    }
  }

  #verdict(problems: readonly string[], acknowledged: number, minutes: number): boolean {
    for (const problem of problems.slice(0, 20)) this.#print(problem);
    const { kill, pause, split } = this.#counts;
    const accidents = `${kill} kills, ${pause} pauses, ${split} splits of the network`;
    this.#print(`${acknowledged} operations acknowledged, ${accidents}; ${problems.length} problems`);
    const little = tooLittle({ acknowledged, kills: kill, minutes });
    if (little !== undefined) this.#print(`this proves nothing: ${little}`);
    return little === undefined && problems.length === 0;
  }
}
