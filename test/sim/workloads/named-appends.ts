// The workload `named-appends`: programs whose records have numbers of their own go on through whichever client lives, and through
// two at a time, so that each record may be sent by several of them, while some of those are dead or cut off.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile, NamedAppender } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { APPEND_RECORDS_MAX } from '../../../src/core/append-entries.ts';
import { AppendLog, type Writer } from '../checkers/appends-once.ts';
import { CHUNK_SIZE_BYTES } from '../cluster.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

const NAME = Buffer.from('named-log');
const RECORD_BYTES_MAX = CHUNK_SIZE_BYTES / 4;

/** It outlives the clients that append for it. */
interface Program {
  readonly writer: Writer;
  readonly name: Buffer;
  /** Of its first record that has no answer. */
  next: number;
}

export class NamedAppends implements Workload {
  readonly #stage: Stage;
  readonly #log = new AppendLog(NAME.toString());
  readonly #programs: readonly Program[];
  readonly #sizes: readonly number[];
  readonly #inFlightMax: number;
  readonly #done = new Set<number>();
  #started = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#programs = Array.from({ length: stage.dice.pick([1, 2, 4]) }, (_, index) => ({
      ...{ writer: this.#log.newWriter(), name: Buffer.from(`program ${index}`), next: 1 },
    }));
    this.#sizes = stage.dice.pick([
      [16, 100],
      [100, 4 * KiB],
      [KiB, 30 * KiB, RECORD_BYTES_MAX],
    ]);
    this.#inFlightMax = stage.dice.pick([1, 3, 20]);
  }

  get done(): boolean {
    return this.#done.size === this.#stage.clientCount;
  }

  async run(client: GfsClient, process: Process, clientIndex: number): Promise<void> {
    const { simulation } = this.#stage;
    this.#started += 1;
    const dice = simulation.random.fork(`${process.env.name} named ${this.#started}`);
    for (;;) {
      try {
        await this.#serve(client, process, dice);
        break;
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        simulation.trace(`${process.env.name} fails: ${codeOf(error)} ${error.message}`);
        await process.env.sleep(SECOND_MS * dice.next());
      }
    }
    this.#done.add(clientIndex);
  }

  powerLost(): void {}

  async verify(client: GfsClient): Promise<readonly InodeId[]> {
    const { file } = await client.create(ROOT_INODE, NAME, { read: true, mode: 0o644 }, ROOT);
    const whole = Buffer.from(joined(await file.read(0, 2 ** 31)));
    await file.close();
    this.#log.checkWhole(whole, { mayLose: this.#stage.powerFails });
    this.#stage.simulation.count('acknowledged named appends', this.#log.acknowledgedCount);
    return [file.inode];
  }

  async #serve(client: GfsClient, { env }: Process, dice: Random): Promise<void> {
    const mode = { append: true, write: true, mode: 0o644 };
    const { file } = await client.create(ROOT_INODE, NAME, mode, ROOT);
    const appenders = new Map<Program, NamedAppender>();
    do {
      await env.sleep(dice.pick([5, 50, 300]) * dice.next());
      const program = dice.pick(this.#programs);
      const appender = appenders.get(program) ?? (await file.appender(program.name));
      appenders.set(program, appender);
      await this.#appendSome(file, program, appender, dice);
      // Another one, which has to find out for itself.
      if (dice.chance(0.1)) appenders.delete(program);
    } while (!this.#stage.calm);
    // Once without a fault, so that there are some.
    for (const program of this.#programs)
      await this.#appendSome(file, program, await file.appender(program.name), dice);
    await file.close();
  }

  /** From the first without an answer on, or from some before that, as a program that was itself restarted does. */
  async #appendSome(file: GfsFile, program: Program, appender: NamedAppender, dice: Random): Promise<void> {
    const first = Math.max(1, program.next - (dice.chance(0.2) ? dice.below(5) : 0));
    const end = program.next + 1 + dice.below(this.#inFlightMax);
    const numbers = Array.from({ length: end - first }, (_, index) => first + index);
    const answers = await Promise.allSettled(
      numbers.map((number) => this.#append(program, appender, number, dice)),
    );
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    if (!dice.chance(0.1)) return;
    await file.sync();
    this.#log.synced(program.writer, numbers);
  }

  async #append(program: Program, appender: NamedAppender, number: number, dice: Random): Promise<void> {
    const { simulation, powerFails } = this.#stage;
    const { writer } = program;
    let bytes: Buffer;
    if (number < writer.numberNext) {
      bytes = this.#log.again(writer, number);
    } else {
      const length = Math.max(16, Math.ceil(dice.pick(this.#sizes) * dice.next()));
      ({ bytes } = this.#log.begin(writer, length));
    }
    try {
      const offset = await appender.append(number, [bytes]);
      simulation.trace(`program ${writer.id}: ${number} is at ${offset}`);
      const before = this.#log.offsetOf(writer, number);
      const isSame = before === undefined || before === offset || powerFails;
      assert(
        isSame,
        `record ${number} of program ${writer.id} was told to be at ${before}, and at ${offset}`,
      );
      this.#log.acknowledged(writer, number, offset);
      program.next = Math.max(program.next, number + 1);
    } catch (error) {
      if (!(error instanceof GfsError) || error.fields.highest === undefined) throw error;
      // What was acknowledged and not synced may be gone with the power: it comes again, or is known to be gone.
      const highest = Number(error.fields.highest);
      // A client that stood still may come with one so old that where it lies is not kept any more.
      const isOld = codeOf(error) === 'EXISTS' && number <= highest - APPEND_RECORDS_MAX;
      const isLost = !isOld && (codeOf(error) === 'EXISTS' || highest + 1 < program.next);
      assert(!isLost || powerFails, `program ${writer.id} at ${program.next} is told: ${error.message}`);
      program.next = codeOf(error) === 'EXISTS' ? Math.max(program.next, number + 1) : highest + 1;
      throw error;
    }
  }
}
