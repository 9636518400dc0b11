// The rules of append (P15-P18) against a model as dumb as can be: members that apply what they are ordered, messages
// that come late, twice or never, new versions at any moment.
import test from 'ava';
import fc from 'fast-check';
import { must } from '../../src/base/assert.ts';
import { crc32 } from '../../src/base/crc.ts';
import { type MutationAnswer, type MutationRequest, Primary } from '../../src/core/primary.ts';
import type { AppendEntry } from '../../src/core/replica-types.ts';
import { SerialQueue } from '../../src/core/serial-queue.ts';

const CHUNK_SIZE_BYTES = 64;
const MEMBERS = 3;

interface Ordered {
  readonly serial: number;
  readonly kind: 'append' | 'seal';
  readonly chunkOffset: number;
  readonly data: Buffer;
  readonly entry: AppendEntry | undefined;
}

class Member {
  bytes = Buffer.alloc(0);
  sealed = false;
  table = new Map<number, AppendEntry>();
  queue = new SerialQueue<Ordered>({ chunk: 1, next: 0 });
  inbox: Ordered[] = [];

  apply({ kind, chunkOffset, data, entry }: Ordered): void {
    if (kind === 'seal') {
      this.sealed = true;
      return;
    }
    if (this.sealed || chunkOffset !== this.bytes.length) throw new Error('an append goes to the end');
    this.bytes = Buffer.concat([this.bytes, data]);
    if (entry !== undefined) this.table.set(entry.writer, entry);
  }

  /** As a reconcile leaves it (P8). */
  become(other: Member): void {
    this.bytes = other.bytes;
    this.sealed = other.sealed;
    this.table = new Map(other.table);
    this.queue = new SerialQueue<Ordered>({ chunk: 1, next: 0 });
    this.inbox = [];
  }
}

interface Asked {
  readonly chunk: number;
  readonly version: number;
  readonly request: MutationRequest;
  readonly data: Buffer;
}

interface Answer {
  readonly asked: Asked;
  readonly answer: MutationAnswer;
}

/** One chunk with its members and the primary of its version. */
class Chunk {
  readonly index: number;
  readonly members = Array.from({ length: MEMBERS }, () => new Member());
  version = 1;
  primary: Primary;
  /** By serial: what is answered once that is committed. */
  #waiting: { serial: number; answer: Answer }[] = [];

  constructor(index: number) {
    this.index = index;
    this.primary = this.#primaryFrom(must(this.members[0], 'a member'));
  }

  /** Answers that may go out at once. */
  ask(asked: Asked): Answer[] {
    const admission = this.primary.admit(asked.request, asked.version);
    if (!admission.ok) {
      if (asked.version === this.version && admission.error.code !== 'INVALID_ARGUMENT')
        throw new Error(admission.error.message);
      return [];
    }
    const { value } = admission;
    const serial = value.kind === 'order' ? value.order.serial : value.serial;
    if (value.kind === 'order') {
      const { kind, chunkOffset } = value.order;
      if (kind === 'write' || kind === 'zero') throw new Error('nobody writes');
      const { writer, number, length, recordChecksum: checksum } = asked.request;
      const entry = kind === 'append' ? { writer, number, chunkOffset, length, checksum } : undefined;
      for (const { inbox } of this.members)
        inbox.push({ serial, kind, chunkOffset, data: asked.data, entry });
    }
    this.#waiting.push({ serial, answer: { asked, answer: value.answer } });
    return this.#committed();
  }

  deliver(which: number, dice: number): Answer[] {
    const member = must(this.members[which], 'a member');
    const [order] = member.inbox.splice(dice % Math.max(1, member.inbox.length), 1);
    if (order === undefined) return [];
    const ready = member.queue.offer(order.serial, order, 0);
    if (!ready.ok) throw new Error(ready.error.message);
    for (const one of ready.value) {
      member.apply(one);
      this.primary.applied(one.serial, which);
    }
    return this.#committed();
  }

  raise(source: number): void {
    this.version += 1;
    const truth = must(this.members[source], 'a member');
    for (const member of this.members) member.become(truth);
    this.#waiting = [];
    this.primary = this.#primaryFrom(truth);
  }

  #committed(): Answer[] {
    const done = this.#waiting.filter(({ serial }) => serial < this.primary.committedSerial);
    this.#waiting = this.#waiting.filter(({ serial }) => serial >= this.primary.committedSerial);
    return done.map(({ answer }) => answer);
  }

  #primaryFrom({ bytes, sealed, table }: Member): Primary {
    return new Primary({
      ...{ chunk: this.index, version: this.version, memberCount: MEMBERS },
      ...{ chunkSizeBytes: CHUNK_SIZE_BYTES, length: bytes.length, sealed, table: [...table.values()] },
    });
  }
}

/** Appends its records one after another, each where it was first tried until that chunk is sealed without it (P17). */
class Writer {
  readonly id: number;
  readonly placed: { chunk: number; chunkOffset: number; data: Buffer }[] = [];
  readonly #lengths: readonly number[];
  #chunk = 0;

  constructor(id: number, lengths: readonly number[]) {
    this.id = id;
    this.#lengths = lengths;
  }

  get done(): boolean {
    return this.placed.length === this.#lengths.length;
  }

  ask(chunkAt: (index: number) => Chunk): Asked {
    const number = this.placed.length + 1;
    const data = Buffer.alloc(must(this.#lengths[number - 1], 'a record is left'), this.id * 16 + number);
    const request: MutationRequest = {
      ...{ kind: 'append', writer: this.id, number, chunkOffset: 0 },
      ...{ length: data.length, recordChecksum: crc32(data) },
    };
    return { chunk: this.#chunk, version: chunkAt(this.#chunk).version, request, data };
  }

  hear({ asked, answer }: Answer): void {
    if (asked.request.number !== this.placed.length + 1 || asked.chunk !== this.#chunk) return;
    if (answer.sealed) this.#chunk += 1;
    else this.placed.push({ chunk: asked.chunk, chunkOffset: answer.chunkOffset, data: asked.data });
  }
}

const work = fc.array(fc.array(fc.integer({ min: 1, max: 16 }), { maxLength: 12 }), {
  minLength: 1,
  maxLength: 4,
});

test("each record is there once, whole, in its writer's order, whatever gets lost, late or doubled (P15-P18)", (t) => {
  fc.assert(
    fc.property(work, fc.infiniteStream(fc.nat({ max: 2 ** 30 })), (lengths, dice) => {
      const below = (limit: number) => must(dice.next().value, 'the dice never end') % limit;
      const chunks: Chunk[] = [];
      const chunkAt = (index: number) => {
        for (let next = chunks.length; next <= index; next += 1) chunks.push(new Chunk(next));
        return must(chunks[index], 'it was made');
      };
      const writers = lengths.map((own, index) => new Writer(index + 1, own));
      const requests: Asked[] = [];
      const answers: Answer[] = [];
      const take = <T>(bag: T[], keeps: boolean): T | undefined => {
        const index = below(Math.max(1, bag.length));
        return keeps ? bag[index] : bag.splice(index, 1)[0];
      };
      const step = (calm: boolean) => {
        const chunk = chunks[below(Math.max(1, chunks.length))];
        switch (below(calm ? 6 : 8)) {
          case 0:
          case 1: {
            const writer = must(writers[below(writers.length)], 'a writer');
            if (!writer.done) requests.push(writer.ask(chunkAt));
            break;
          }
          case 2: {
            // A copy may come much later, when its writer is further.
            const asked = take(requests, !calm && below(4) === 0);
            if (asked !== undefined) answers.push(...chunkAt(asked.chunk).ask(asked));
            break;
          }
          case 3:
          case 4:
            if (chunk !== undefined) answers.push(...chunk.deliver(below(MEMBERS), below(8)));
            break;
          case 5: {
            const answer = take(answers, false);
            if (answer !== undefined) must(writers[answer.asked.request.writer - 1], 'a writer').hear(answer);
            break;
          }
          case 6:
            take(answers, false);
            take(requests, false);
            break;
          default:
            if (below(4) === 0) chunk?.raise(below(MEMBERS));
        }
      };
      for (let count = below(600); count > 0; count -= 1) step(false);
      for (let count = 0; !writers.every(({ done }) => done); count += 1) {
        if (count > 200_000) throw new Error('no progress');
        step(true);
      }
      for (const chunk of chunks) chunk.raise(0);
      for (const { placed } of writers) {
        const places = placed.map(({ chunk, chunkOffset }) => chunk * CHUNK_SIZE_BYTES + chunkOffset);
        t.deepEqual(
          places,
          [...places].sort((a, b) => a - b),
        );
      }
      const all = writers.flatMap(({ placed }) => placed);
      for (const { index, members } of chunks) {
        const records = all.filter(({ chunk }) => chunk === index);
        records.sort((a, b) => a.chunkOffset - b.chunkOffset);
        const expected = Buffer.concat(records.map(({ data }) => data));
        for (const { bytes } of members) t.true(bytes.equals(expected));
      }
    }),
    { numRuns: 300 },
  );
});
