// The workload `appends`: all clients append numbered records to the same files, follow them, and ask for their lengths.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { AppendLog } from '../checkers/appends-once.ts';
import { CommittedPrefix } from '../checkers/committed-prefix.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';
import type { Process } from '../node.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

const RECORD_BYTES_MAX = CHUNK_SIZE_BYTES / 4;
const READ_BYTES = 128 * KiB;

export class Appends implements Workload {
  readonly #stage: Stage;
  readonly #logs: readonly AppendLog[];
  readonly #sizes: readonly number[];
  readonly #writersPerClient: number;
  /** One client writes nothing: of the others' appends it knows by the master and the servers alone. */
  readonly #isOneReader: boolean;
  readonly #prefixes = new Map<AppendLog, CommittedPrefix[]>();
  /** By client: its part is done. */
  readonly #done = new Set<number>();

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#logs = stage.dice.pick([['log'], ['log', 'log2']]).map((name) => new AppendLog(name));
    for (const log of this.#logs) this.#prefixes.set(log, []);
    this.#sizes = stage.dice.pick([
      [16, 100],
      [100, 4 * KiB],
      [KiB, 30 * KiB, RECORD_BYTES_MAX],
    ]);
    this.#writersPerClient = stage.dice.pick([1, 2]);
    this.#isOneReader = stage.dice.chance(0.3);
  }

  get done(): boolean {
    return this.#done.size === this.#stage.clientCount;
  }

  async run(client: GfsClient, process: Process, clientIndex: number): Promise<void> {
    const writerCount = this.#isOneReader && clientIndex === 0 ? 0 : this.#writersPerClient;
    const work = this.#logs.flatMap((log) => [
      ...Array.from({ length: writerCount }, () => this.#append(client, process, log)),
      ...(this.#stage.powerFails ? [] : [this.#follow(client, process, log)]),
    ]);
    await Promise.all(work);
    this.#done.add(clientIndex);
  }

  powerLost(): void {}

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const inodes: InodeId[] = [];
    for (const log of this.#logs) {
      const file = await openToRead(client, log);
      const whole = Buffer.from(joined(await file.read(0, 2 ** 31)));
      await file.close();
      log.checkWhole(whole, { mayLose: this.#stage.powerFails });
      for (const prefix of this.#prefixes.get(log) ?? []) {
        prefix.checkAgainst(whole);
        this.#stage.simulation.count('followed records', prefix.recordCount);
      }
      this.#stage.simulation.count('acknowledged appends', log.acknowledgedCount);
      inodes.push(file.inode);
    }
    return inodes;
  }

  async #append(client: GfsClient, { env }: Process, log: AppendLog): Promise<void> {
    const { simulation } = this.#stage;
    const dice = simulation.random.fork(`${env.name} ${log.name} ${log.newWriter().id}`);
    // The more writers, the slower each of them: what a seed tries is faults, and records cost most of its time.
    const writerCount = this.#logs.length * this.#writersPerClient * this.#stage.clientCount;
    const burst = (dice.pick([10, 50, 300]) * writerCount) / 2;
    await this.#again(env, async () => {
      const writer = log.newWriter();
      const unsynced: number[] = [];
      const mode = { append: true, write: true, mode: 0o644 };
      const { file } = await client.create(ROOT_INODE, Buffer.from(log.name), mode, ROOT);
      // Once at least, so that whatever went wrong there is a file in the end, and it can be appended to.
      do {
        await env.sleep(burst * dice.next());
        const length = Math.max(16, Math.ceil(dice.pick(this.#sizes) * dice.next()));
        const { number, bytes } = log.begin(writer, length);
        simulation.trace(`${log.name} append ${writer.id}.${number} ${length}`);
        const offset = await file.append([bytes]);
        simulation.trace(`${log.name} appended ${writer.id}.${number} at ${offset}`);
        log.acknowledged(writer, number, offset);
        unsynced.push(number);
        if (dice.chance(0.1)) {
          const point = unsynced.splice(0);
          await file.sync();
          log.synced(writer, point);
        }
      } while (!this.#stage.calm);
      await file.close();
    });
  }

  /** As `tail -f`, which also asks for the length now and then: it is never behind what was acknowledged before. */
  async #follow(client: GfsClient, { env }: Process, log: AppendLog): Promise<void> {
    const dice = this.#stage.simulation.random.fork(`${env.name} follows ${log.name}`);
    const prefix = new CommittedPrefix(log);
    this.#prefixes.get(log)?.push(prefix);
    await this.#again(env, async () => {
      const file = await openToRead(client, log);
      for (let last = false; !last; ) {
        last = this.#stage.calm;
        await env.sleep(dice.pick([5, 100, 1_000]) * dice.next());
        const { acknowledgedEnd } = log;
        const { length } = await file.attributes();
        assert(length >= acknowledgedEnd, `${log.name} is ${length} long, and ${acknowledgedEnd} were told`);
        prefix.saw(Buffer.from(joined(await file.read(prefix.length, READ_BYTES))), READ_BYTES);
      }
      await file.close();
    });
  }

  /** Failures of the world end the open file; the next attempt opens another. */
  async #again(env: Process['env'], work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        this.#stage.simulation.trace(`${env.name} fails: ${codeOf(error)} ${error.message}`);
        await env.sleep(SECOND_MS);
      }
    }
  }
}

/** It is made if it is not there: a reader may come first. */
async function openToRead(client: GfsClient, log: AppendLog): Promise<GfsFile> {
  const mode = { read: true, mode: 0o644 };
  return (await client.create(ROOT_INODE, Buffer.from(log.name), mode, ROOT)).file;
}
