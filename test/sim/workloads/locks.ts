// The workload `locks`: programs of all clients lock parts of the same files, and read and write only what they have locked.
import { assert } from '../../../src/base/assert.ts';
import { joined } from '../../../src/base/bytes.ts';
import { codeOf, type ErrorCode, GfsError } from '../../../src/base/errors.ts';
import { type InodeId, ROOT_INODE } from '../../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../../src/base/units.ts';
import type { GfsFile, LockRequest } from '../../../src/client/api.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import { type Hold, LockedCell, LockModel } from '../checkers/locks-exclusive.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import { ROOT, type Stage, type Workload } from './workload.ts';

/** Byte ranges of one file, the other one as a whole. */
const FILES = [
  { name: 'locks0', kind: 'range' },
  { name: 'locks1', kind: 'flock' },
] as const;
const OWNERS = ['one', 'two'] as const;
const CELL_COUNT = 6;
/** They lie in two chunks; each begins with what is written. */
const CELL_BYTES = 50 * KiB;
const VALUE_BYTES = 6;
/** What those in front do with their locks, a version that is raised, and an answer that is asked for again. */
const WAIT_MS_MAX = 30 * SECOND_MS;

/** Who waits no longer, and what he is refused who would not wait or would wait for himself. */
const REFUSALS: readonly ErrorCode[] = ['LOCKED', 'DEADLOCK'];

type FileName = (typeof FILES)[number]['name'];
type LockKind = (typeof FILES)[number]['kind'];

/** One program at one file. */
interface Program {
  readonly client: GfsClient;
  readonly env: Process['env'];
  readonly dice: Random;
  readonly name: FileName;
  readonly kind: LockKind;
  readonly owner: string;
}

interface Held {
  readonly hold: Hold;
  readonly request: LockRequest;
}

export class Locks implements Workload {
  readonly #stage: Stage;
  readonly #model = new LockModel();
  readonly #cells: Readonly<Record<FileName, readonly LockedCell[]>> = {
    locks0: newCells(),
    locks1: newCells(),
  };
  readonly #done = new Set<string>();
  #lastValue = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get done(): boolean {
    return this.#done.size === this.#stage.clientCount * FILES.length * OWNERS.length;
  }

  async run(client: GfsClient, { env }: Process, clientIndex: number): Promise<void> {
    const programs = FILES.flatMap(({ name, kind }) =>
      OWNERS.map((owner) => {
        const dice = this.#stage.simulation.random.fork(`${env.name} ${name} ${owner}`);
        return { client, env, dice, name, kind, owner };
      }),
    );
    await Promise.all(
      programs.map(async (program) => {
        await this.#work(program);
        this.#done.add(`${clientIndex} ${program.name} ${program.owner}`);
      }),
    );
  }

  powerLost(): void {}

  async verify(client: GfsClient, { env }: Process): Promise<readonly InodeId[]> {
    this.#model.checkAll();
    const inodes: InodeId[] = [];
    for (const { name, kind } of FILES) {
      const dice = this.#stage.simulation.random.fork(`verifier ${name}`);
      const program = { client, env, dice, name, kind, owner: 'verifier' };
      const file = await open(client, name);
      const held = await this.#lock(program, file, { first: 0, last: CELL_COUNT - 1, exclusive: true });
      assert(held !== undefined, 'who waits for as long as it takes gets it');
      await this.#read(program, file, held);
      // All of it has bytes then, which are compared.
      await this.#write(program, file, held);
      await file.sync();
      await file.close();
      inodes.push(file.inode);
    }
    return inodes;
  }

  /** Until a round has come to its end in the calm. */
  async #work(program: Program): Promise<void> {
    const { env, dice } = program;
    const pause = dice.pick([5, 50, 300]);
    let file: GfsFile | undefined;
    let openCount = 0;
    for (let last = false; !last; ) {
      await env.sleep(pause * dice.next());
      last = this.#stage.calm;
      try {
        if (file === undefined) {
          file = await open(program.client, program.name);
          openCount += 1;
        }
        // What a file had locked that was given up, the master may believe to be held for a while.
        await this.#round({ ...program, owner: `${program.owner}.${openCount}` }, file);
        if (!last && dice.chance(0.8)) continue;
        await file.close();
        file = undefined;
      } catch (error) {
        if (!(error instanceof GfsError)) throw error;
        this.#stage.simulation.trace(`${env.name} ${program.owner} at ${program.name}: ${error.code}`);
        file?.close().catch(() => undefined);
        file = undefined;
        last = false;
        await env.sleep(0.5 * SECOND_MS * dice.next());
      }
    }
  }

  /** Locks some of the file, works on it, and perhaps locks more beside. */
  async #round(program: Program, file: GfsFile): Promise<void> {
    const { kind, dice } = program;
    const cells = kind === 'flock' ? wholeFile() : someCells(dice, 0);
    const held = await this.#lock(program, file, cells);
    if (held === undefined) return;
    try {
      await this.#use(program, file, held);
      if (kind === 'range' && cells.last < CELL_COUNT - 1 && dice.chance(0.4)) {
        const beside = await this.#lock(program, file, someCells(dice, cells.last + 1), true);
        if (beside !== undefined) {
          try {
            await this.#use(program, file, beside);
            await this.#unlock(file, beside);
          } finally {
            this.#model.over(beside.hold);
          }
        }
      }
      await this.#unlock(file, held);
    } finally {
      this.#model.over(held.hold);
    }

    function wholeFile(): Cells {
      return { first: 0, last: CELL_COUNT - 1, exclusive: dice.chance(0.6) };
    }
  }

  /** Undefined: he was refused, and goes on with what he has. */
  async #lock(program: Program, file: GfsFile, cells: Cells, hasMore = false): Promise<Held | undefined> {
    const { client, env, dice, name, kind, owner } = program;
    const { simulation } = this.#stage;
    const { first, last, exclusive } = cells;
    const isVerifier = owner === 'verifier';
    const wait = isVerifier || dice.chance(0.8);
    const request = {
      ...{ kind, owner, exclusive, wait },
      ...(kind === 'flock' ? {} : { start: first * CELL_BYTES, end: (last + 1) * CELL_BYTES - 1 }),
    };
    const deadlineMs =
      !isVerifier && dice.chance(0.2) ? env.monotonicMs() + SECOND_MS * dice.next() : undefined;
    const text = `${env.name} ${owner}: ${exclusive ? 'exclusive' : 'shared'} ${name} ${first}-${last}`;
    simulation.trace(`wants ${text}`);
    const askedAtMs = simulation.nowMs;
    try {
      await file.lock(request, deadlineMs === undefined ? {} : { deadlineMs });
    } catch (error) {
      simulation.trace(`${codeOf(error)} for ${text}`);
      if (!REFUSALS.includes(codeOf(error))) throw error;
      const isDue = codeOf(error) === 'LOCKED' ? !wait : hasMore;
      simulation.check(() => assert(isDue, `${codeOf(error)} is no answer for ${text}`));
      simulation.count('locks refused');
      return undefined;
    } finally {
      this.#checkWait(text, askedAtMs);
    }
    simulation.trace(`has ${text}`);
    simulation.count('locks granted');
    const hold = { file: name, first, last, exclusive, owner, env, client, session: client.session };
    const { masterStartedMs, sessionTimeoutMs } = this.#stage;
    simulation.check(() => this.#model.granted(hold, simulation.nowMs < masterStartedMs + sessionTimeoutMs));
    return { hold, request };
  }

  /** In the calm, a dead session's locks are all that may be waited for; it ends by its time-out, found out a quarter later. */
  #checkWait(text: string, askedAtMs: number): void {
    const { simulation, calmSinceMs, sessionTimeoutMs } = this.#stage;
    if (calmSinceMs === undefined) return;
    const waitedMs = simulation.nowMs - Math.max(askedAtMs, calmSinceMs);
    const isSoon = waitedMs <= 1.25 * sessionTimeoutMs + WAIT_MS_MAX;
    simulation.check(() => assert(isSoon, `${waitedMs} ms of calm were waited for ${text}`));
  }

  /** What it says counts only when the master says, afterwards, that the lock is held still. */
  async #use(program: Program, file: GfsFile, held: Held): Promise<void> {
    const { dice, env } = program;
    await this.#read(program, file, held);
    if (!held.hold.exclusive) return;
    await env.sleep(dice.pick([0, 10, 200]) * dice.next());
    if (dice.chance(0.8)) await this.#write(program, file, held);
  }

  async #read(program: Program, file: GfsFile, held: Held): Promise<void> {
    const { name } = program;
    const { first, last } = held.hold;
    const values: number[] = [];
    for (let cell = first; cell <= last; cell += 1) {
      const bytes = Buffer.from(joined(await file.read(cell * CELL_BYTES, VALUE_BYTES)));
      values.push(bytes.readUIntLE(0, VALUE_BYTES));
    }
    await this.#confirm(file, held);
    const { simulation, powerFails, writesFail } = this.#stage;
    const lasts = !powerFails && !writesFail;
    for (const [index, value] of values.entries()) {
      const cell = first + index;
      simulation.check(() => this.#cells[name][cell]?.found(`${name} ${cell}`, value, lasts));
    }
    simulation.count('values found under locks', values.length);
  }

  async #write(program: Program, file: GfsFile, held: Held): Promise<void> {
    const { name } = program;
    const { first, last } = held.hold;
    const cells = this.#cells[name].slice(first, last + 1);
    const values = cells.map(() => {
      this.#lastValue += 1;
      return this.#lastValue;
    });
    try {
      for (const [index, cell] of cells.entries()) {
        const value = values[index] ?? 0;
        const bytes = Buffer.alloc(VALUE_BYTES);
        bytes.writeUIntLE(value, 0, VALUE_BYTES);
        cell.written(value);
        await file.write((first + index) * CELL_BYTES, [bytes]);
      }
      await file.sync();
      await this.#confirm(file, held);
    } catch (error) {
      // What a session that ended had sent cannot come any more. Who lives on and gave up may yet be heard.
      if (codeOf(error) !== 'SESSION_EXPIRED') for (const cell of cells) cell.givenUp();
      throw error;
    }
    for (const [index, cell] of cells.entries()) cell.settled(values[index] ?? 0);
    this.#stage.simulation.count('values written under locks', values.length);
  }

  /** To lock once more what one has changes nothing, and asks the master. */
  async #confirm(file: GfsFile, { hold, request }: Held): Promise<void> {
    const { simulation } = this.#stage;
    const overlaps = this.#model.asking(hold);
    try {
      await file.lock({ ...request, wait: false });
    } catch (error) {
      const isRefused = REFUSALS.includes(codeOf(error));
      simulation.check(() =>
        assert(!isRefused, `${hold.env.name} ${hold.owner} lost a lock of ${hold.file}, and was not told`),
      );
      throw error;
    }
    simulation.check(() => this.#model.confirmed(hold, overlaps));
  }

  async #unlock(file: GfsFile, { hold, request }: Held): Promise<void> {
    this.#stage.simulation.trace(
      `${hold.env.name} ${hold.owner} unlocks ${hold.file} ${hold.first}-${hold.last}`,
    );
    this.#model.over(hold);
    await file.unlock(request);
  }
}

interface Cells {
  readonly first: number;
  readonly last: number;
  readonly exclusive: boolean;
}

/** From a cell on; there is one. */
function someCells(dice: Random, from: number): Cells {
  const first = from + dice.below(CELL_COUNT - from);
  const last = Math.min(CELL_COUNT - 1, first + dice.below(3));
  return { first, last, exclusive: dice.chance(0.6) };
}

async function open(client: GfsClient, name: FileName): Promise<GfsFile> {
  const mode = { read: true, write: true, mode: 0o644 };
  const { file } = await client.create(ROOT_INODE, Buffer.from(name), mode, ROOT);
  await file.allocate(0, CELL_COUNT * CELL_BYTES);
  return file;
}

function newCells(): readonly LockedCell[] {
  return Array.from({ length: CELL_COUNT }, () => new LockedCell());
}
