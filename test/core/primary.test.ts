import test from 'ava';
import fc from 'fast-check';
import { KiB } from '../../src/base/units.ts';
import { NUMBERED_WRITERS_MAX } from '../../src/core/append-entries.ts';
import { COMMITTED_BEFORE, type MutationRequest, type Order, Primary } from '../../src/core/primary.ts';
import { SerialQueue } from '../../src/core/serial-queue.ts';

const CHUNK_SIZE_BYTES = 256 * KiB;

function primaryOf(options: Partial<ConstructorParameters<typeof Primary>[0]> = {}): Primary {
  return new Primary({
    chunk: 1,
    version: 4,
    memberCount: 3,
    chunkSizeBytes: CHUNK_SIZE_BYTES,
    length: 0,
    sealed: false,
    table: [],
    ...options,
  });
}

function write(chunkOffset: number, length: number, number: number, writer = 1): MutationRequest {
  return { kind: 'write', writer, number, chunkOffset, length, recordChecksum: 0 };
}
function zero(chunkOffset: number, length: number, number: number): MutationRequest {
  return { ...write(chunkOffset, length, number), kind: 'zero' };
}
function append(length: number, number: number, writer = 1, recordChecksum = 7): MutationRequest {
  return { kind: 'append', writer, number, chunkOffset: 0, length, recordChecksum };
}
function seal(chunkOffset = 0): MutationRequest {
  return { kind: 'seal', writer: 1, number: 1, chunkOffset, length: 0, recordChecksum: 0 };
}

function admitted(primary: Primary, request: MutationRequest) {
  const result = primary.admit(request, 4);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function codeOfRefusal(primary: Primary, request: MutationRequest, version = 4): string {
  const result = primary.admit(request, version);
  return result.ok ? 'ok' : result.error.code;
}

test('mutations are committed in serial order, when all members have applied them (P10)', (t) => {
  const primary = primaryOf();
  for (const number of [1, 2, 3]) admitted(primary, write(0, 10, number));
  const done = (serial: number, members: number[]) =>
    members.flatMap((member) => primary.applied(serial, member));
  t.deepEqual(done(1, [0, 1, 2]), []);
  t.deepEqual(done(0, [1, 2]), []);
  t.deepEqual(done(0, [0]), [0, 1]);
  t.is(primary.committedSerial, 2);
  t.false(primary.idle);
  t.deepEqual(done(2, [2, 1, 0]), [2]);
  t.true(primary.idle);
});

test('zeros are ordered as far as the chunk reaches then, sealed or not, once, and do not make it longer', (t) => {
  const primary = primaryOf();
  t.like(admitted(primary, zero(0, 100, 1)), { kind: 'repeat', serial: COMMITTED_BEFORE });
  admitted(primary, write(0, 50, 2));
  t.like(admitted(primary, zero(0, 100, 1)), { kind: 'repeat', serial: COMMITTED_BEFORE }, 'a late copy');
  const { order } = admitted(primary, zero(10, 100, 3)) as { order: Order };
  t.deepEqual(order, { serial: 1, kind: 'zero', chunkOffset: 10, length: 40 });
  t.like(admitted(primary, zero(10, 100, 3)), { kind: 'repeat', serial: 1 });
  t.like(admitted(primary, zero(50, 1, 4)), { kind: 'repeat', serial: COMMITTED_BEFORE });
  t.is(primary.length, 50);
  admitted(primary, seal());
  t.like(admitted(primary, zero(0, CHUNK_SIZE_BYTES, 5)), {
    kind: 'order',
    order: { serial: 3, length: 50 },
  });
  t.is(codeOfRefusal(primary, zero(0, CHUNK_SIZE_BYTES + 1, 6)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, zero(0, 0, 7)), 'INVALID_ARGUMENT');
});

test('what is refused changes nothing', (t) => {
  const primary = primaryOf();
  t.is(codeOfRefusal(primary, write(0, 1, 1), 5), 'VERSION_MISMATCH');
  t.is(codeOfRefusal(primary, write(0, 1, 1), 3), 'VERSION_MISMATCH');
  t.is(codeOfRefusal(primary, write(0, 0, 1)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, write(CHUNK_SIZE_BYTES - 1, 2, 1)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, write(-1, 2, 1)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, write(Number.MAX_SAFE_INTEGER, 2, 1)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, append(CHUNK_SIZE_BYTES / 4 + 1, 1)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, append(0, 1)), 'INVALID_ARGUMENT');
  t.is(primary.nextSerial, 0);
  t.is(codeOfRefusal(primary, write(CHUNK_SIZE_BYTES - 1, 1, 1)), 'ok');
});

test('a write taken before is not ordered again, however late its copy comes (P10)', (t) => {
  const primary = primaryOf();
  admitted(primary, write(0, 10, 1));
  admitted(primary, write(0, 10, 2));
  t.like(admitted(primary, write(0, 10, 1)), { kind: 'repeat', serial: 0 });
  for (let number = 3; number < 2000; number += 1) admitted(primary, write(0, 10, number));
  t.is(codeOfRefusal(primary, write(0, 10, 1)), 'INVALID_ARGUMENT');
  t.is(primary.nextSerial, 1999);
  // Another writer has numbers of its own.
  t.like(admitted(primary, write(0, 10, 1, 2)), { kind: 'order' });
});

test('more writers than a version can remember end it', (t) => {
  const primary = primaryOf();
  let writer = 0;
  while (codeOfRefusal(primary, write(0, 1, 1, writer)) === 'ok') writer += 1;
  t.is(codeOfRefusal(primary, write(0, 1, 1, writer)), 'NOT_PRIMARY');
  t.true(writer > 1000);
});

test('appends follow one another, and one record is one place', (t) => {
  const primary = primaryOf({ length: 100 });
  t.like(admitted(primary, append(50, 1)), { order: { chunkOffset: 100 }, answer: { chunkLength: 150 } });
  t.like(admitted(primary, append(20, 7, 2)), { order: { chunkOffset: 150 } });
  t.like(admitted(primary, append(50, 1)), { kind: 'repeat', serial: 0, answer: { chunkOffset: 100 } });
  t.like(admitted(primary, append(5, 2)), { order: { chunkOffset: 170 } });
  t.is(codeOfRefusal(primary, append(50, 1)), 'INVALID_ARGUMENT');
});

test("an append of an earlier version is known by the replica's table (P15, P18)", (t) => {
  const entry = { writer: 9, number: 4, chunkOffset: 30, length: 10, checksum: 7 };
  const primary = primaryOf({ length: 100, table: [entry] });
  const again = admitted(primary, append(10, 4, 9));
  t.like(again, { kind: 'repeat', serial: COMMITTED_BEFORE, answer: { chunkOffset: 30 } });
  t.is(codeOfRefusal(primary, append(10, 3, 9)), 'INVALID_ARGUMENT');
  t.like(admitted(primary, append(10, 5, 9)), { order: { chunkOffset: 100 } });
  t.is(codeOfRefusal(primary, append(10, 4, 9)), 'INVALID_ARGUMENT');
});

test('a record in a block whose bytes no member has is not told of as written, and those beside it are', (t) => {
  const entry = { writer: 9, number: 4, chunkOffset: 64 * KiB - 5, length: 10, checksum: 7 };
  const next = { writer: 8, number: 1, chunkOffset: 64 * KiB + 5, length: 10, checksum: 7 };
  const table = [entry, next];
  const primary = primaryOf({ length: 64 * KiB + 100, table, lostBlocks: new Set([0]) });
  t.is(codeOfRefusal(primary, append(10, 4, 9)), 'CHUNK_LOST');
  t.like(admitted(primary, append(10, 1, 8)), { kind: 'repeat', serial: COMMITTED_BEFORE });
  t.like(admitted(primary, append(10, 5, 9)), { kind: 'order' }, 'the writer goes on');
});

test('a number that comes back with other bytes is refused (P15)', (t) => {
  const primary = primaryOf({ table: [{ writer: 9, number: 4, chunkOffset: 30, length: 10, checksum: 7 }] });
  t.is(codeOfRefusal(primary, append(10, 4, 9, 8)), 'INVALID_ARGUMENT');
  t.is(codeOfRefusal(primary, append(11, 4, 9)), 'INVALID_ARGUMENT');
  admitted(primary, append(10, 5, 9));
  t.is(codeOfRefusal(primary, append(10, 5, 9, 8)), 'INVALID_ARGUMENT');
  t.is(primary.nextSerial, 1);
});

test('the table takes 10,000 writers, and then the chunk is sealed: known writers are still answered (P16)', (t) => {
  const primary = primaryOf();
  for (let writer = 1; writer <= 10_000; writer += 1) admitted(primary, append(1, 1, writer));
  t.like(admitted(primary, append(1, 2, 5)), { kind: 'order', order: { kind: 'append' } });
  t.like(admitted(primary, append(1, 1, 10_001)), { order: { kind: 'seal' }, answer: { sealed: true } });
  t.like(admitted(primary, append(1, 1, 6)), { kind: 'repeat', answer: { chunkOffset: 5, sealed: false } });
  t.like(admitted(primary, append(1, 2, 6)), { kind: 'repeat', answer: { sealed: true } });
});

test('an append goes behind the offset that its writer names, and zeros are before it', (t) => {
  const primary = primaryOf({ length: 100 });
  const behind = (length: number, number: number, chunkOffset: number) =>
    admitted(primary, { ...append(length, number), chunkOffset });
  t.like(behind(50, 1, 50), { order: { chunkOffset: 100 } });
  t.like(behind(50, 2, 1000), { order: { chunkOffset: 1000 }, answer: { chunkLength: 1050 } });
  // The record that does not fit there seals the chunk where the file ends.
  const end = CHUNK_SIZE_BYTES - 10;
  t.like(behind(11, 3, end), { order: { kind: 'seal', chunkOffset: end }, answer: { chunkLength: end } });
  t.is(codeOfRefusal(primary, { ...append(1, 4), chunkOffset: CHUNK_SIZE_BYTES + 1 }), 'INVALID_ARGUMENT');
});

test('a chunk that is empty is not sealed: nothing could follow it', (t) => {
  t.is(codeOfRefusal(primaryOf(), seal()), 'INVALID_ARGUMENT');
  t.like(admitted(primaryOf(), seal(5)), { order: { kind: 'seal', chunkOffset: 5 } });
  const primary = primaryOf({ length: 3 });
  t.like(admitted(primary, seal()), { order: { kind: 'seal', chunkOffset: 3 } });
  t.like(admitted(primary, seal()), { kind: 'repeat', serial: 0, answer: { sealed: true, chunkLength: 3 } });
});

test('a record that does not fit seals the chunk, for appends and for growth (P16)', (t) => {
  const primary = primaryOf({ length: CHUNK_SIZE_BYTES - 100 });
  admitted(primary, append(60, 1));
  const sealing = admitted(primary, append(41, 2));
  t.like(sealing, {
    order: { kind: 'seal', serial: 1 },
    answer: { sealed: true, chunkLength: CHUNK_SIZE_BYTES - 40 },
  });
  t.like(admitted(primary, append(1, 1, 2)), { kind: 'repeat', serial: 1, answer: { sealed: true } });
  t.like(admitted(primary, append(60, 1)), { kind: 'repeat', serial: 0, answer: { sealed: false } });
  t.is(codeOfRefusal(primary, write(CHUNK_SIZE_BYTES - 41, 2, 1)), 'SEALED');
  t.is(codeOfRefusal(primary, write(CHUNK_SIZE_BYTES - 42, 2, 1)), 'ok');
});

test('readers do not see appended bytes that are not on all members (P13)', (t) => {
  const primary = primaryOf({ length: 100 });
  admitted(primary, append(50, 1));
  admitted(primary, write(150, 10, 1));
  t.is(primary.visibleLength(160), 100);
  for (const member of [0, 1]) primary.applied(0, member);
  t.is(primary.visibleLength(160), 100);
  primary.applied(0, 2);
  t.is(primary.visibleLength(160), 160);
});

interface Sent {
  readonly order: Order;
  readonly byte: number;
}

/** A replica as dumb as can be. */
class Model {
  readonly bytes = Buffer.alloc(CHUNK_SIZE_BYTES);
  length = 0;
  sealed = false;

  apply({ order, byte }: Sent): void {
    if (order.kind === 'seal') this.sealed = true;
    else {
      this.bytes.fill(byte, order.chunkOffset, order.chunkOffset + order.length);
      this.length = Math.max(this.length, order.chunkOffset + order.length);
    }
  }
}

const requests = fc.record({
  kind: fc.constantFrom<'write' | 'append'>('write', 'append'),
  writer: fc.integer({ min: 1, max: 3 }),
  chunkOffset: fc.integer({ min: 0, max: CHUNK_SIZE_BYTES }),
  length: fc.integer({ min: 1, max: CHUNK_SIZE_BYTES / 4 }),
  repeated: fc.boolean(),
});

test('whatever way orders take, all members end up with what was answered', (t) => {
  fc.assert(
    fc.property(fc.array(requests, { maxLength: 40 }), fc.infiniteStream(fc.nat()), (wanted, dice) => {
      const next = () => dice.next().value ?? 0;
      const primary = primaryOf();
      const members = [0, 1, 2].map(() => ({
        model: new Model(),
        queue: new SerialQueue<Sent>({ chunk: 1, next: 0 }),
        inbox: [] as Sent[],
      }));
      const answered: Sent[] = [];
      const orders = new Map<number, Sent>();
      const records: { chunkOffset: number; length: number; byte: number; serial: number }[] = [];
      const deliver = () => {
        const busy = members.filter(({ inbox }) => inbox.length > 0);
        const member = busy[next() % Math.max(1, busy.length)];
        if (member === undefined) return;
        const [sent] = member.inbox.splice(next() % member.inbox.length, 1);
        if (sent === undefined) return;
        const ready = member.queue.offer(sent.order.serial, sent, 0);
        if (!ready.ok) throw new Error(ready.error.message);
        for (const one of ready.value) {
          member.model.apply(one);
          for (const serial of primary.applied(one.order.serial, members.indexOf(member))) {
            const committed = orders.get(serial);
            if (committed === undefined) throw new Error('what is committed was ordered');
            answered.push(committed);
            // Answered means applied by all.
            for (const { queue } of members) t.true(queue.next > serial);
          }
        }
      };
      for (const [index, request] of wanted.entries()) {
        const number = index + 1;
        const admission = primary.admit({ ...request, recordChecksum: index, number }, 4);
        if (admission.ok && admission.value.kind === 'order') {
          const sent = { order: admission.value.order, byte: 1 + (index % 250) };
          orders.set(sent.order.serial, sent);
          if (sent.order.kind === 'append') records.push({ ...sent.order, byte: sent.byte });
          for (const { inbox } of members) inbox.push(sent);
          if (request.repeated && request.kind === sent.order.kind) {
            const again = primary.admit({ ...request, recordChecksum: index, number }, 4);
            t.like(again, { value: { kind: 'repeat', serial: sent.order.serial } });
          }
        }
        for (let count = next() % 4; count > 0; count -= 1) deliver();
      }
      while (members.some(({ inbox }) => inbox.length > 0)) deliver();
      t.deepEqual(
        answered.map(({ order }) => order.serial),
        [...orders.keys()],
      );
      const model = new Model();
      for (const sent of answered) model.apply(sent);
      for (const { model: member } of members) {
        t.true(member.bytes.equals(model.bytes));
        t.is(member.length, model.length);
        t.is(member.sealed, primary.sealed);
      }
      // No two records share a byte, and none reaches over the chunk's end.
      records.sort((a, b) => a.chunkOffset - b.chunkOffset);
      for (const [index, record] of records.entries()) {
        t.true(record.chunkOffset + record.length <= (records[index + 1]?.chunkOffset ?? CHUNK_SIZE_BYTES));
      }
      t.is(primary.visibleLength(model.length), model.length);
    }),
    { numRuns: 60 },
  );
});

/** Numbered records, the last one with that number. */
function batch(number: number, lengths: readonly number[], writer = 1): MutationRequest {
  const length = lengths.reduce((sum, one) => sum + one, 0);
  return { ...append(length, number, writer), recordLengths: lengths };
}
function commit(primary: Primary, serial: number): void {
  for (const member of [0, 1, 2]) primary.applied(serial, member);
}

test('P15: numbered records that were taken are told with their places, however they come again', (t) => {
  const primary = primaryOf();
  t.like(admitted(primary, batch(3, [10, 20, 30])), { kind: 'order', order: { serial: 0, chunkOffset: 0 } });
  const records = [
    { chunkOffset: 0, length: 10 },
    { chunkOffset: 10, length: 20 },
    { chunkOffset: 30, length: 30 },
  ];
  const taken = { writer: 1, number: 3, chunkOffset: 0, length: 60, checksum: 7, records };
  const told = { kind: 'repeat', serial: 0, answer: { taken } };
  t.like(admitted(primary, batch(3, [10, 20, 30])), told, 'as it was');
  t.like(admitted(primary, batch(2, [20])), told, 'one alone');
  t.like(admitted(primary, batch(5, [30, 1, 1])), told, 'with others that are new: of these none is taken');
  t.is(codeOfRefusal(primary, batch(4, [40])), 'NOT_READY', 'one append of a writer is in flight');
  commit(primary, 0);
  t.like(admitted(primary, batch(4, [40])), { kind: 'order', order: { serial: 1, chunkOffset: 60 } });
  commit(primary, 1);
  const { entry } = primary.recallWriter(1);
  t.deepEqual(entry?.records, [...records, { chunkOffset: 60, length: 40 }]);
  t.like(admitted(primary, batch(1, [10])), { kind: 'repeat', serial: 1 });
  t.like(primary.recallWriter(2), { entry: undefined, sealed: false });
});

test('P16: a sealed chunk says of numbered records whether they are in it', (t) => {
  const primary = primaryOf();
  admitted(primary, batch(2, [10, 10]));
  commit(primary, 0);
  admitted(primary, seal());
  t.like(admitted(primary, batch(2, [10])), { kind: 'repeat', answer: { taken: { number: 2 } } });
  t.like(admitted(primary, batch(3, [10, 10])), { kind: 'repeat', answer: { taken: { number: 2 } } });
  t.like(admitted(primary, batch(3, [10])), { kind: 'repeat', serial: 1, answer: { sealed: true } });
  t.like(primary.recallWriter(1), { serial: 1, sealed: true, chunkLength: 20 });
});

test('the next primary goes on with the places that the table has, cut off or not', (t) => {
  const records = [{ chunkOffset: 500, length: 20 }];
  const table = [{ writer: 1, number: 9, chunkOffset: 500, length: 20, checksum: 1, records }];
  const primary = primaryOf({ length: 100, table });
  t.like(admitted(primary, batch(9, [20])), {
    kind: 'repeat',
    serial: COMMITTED_BEFORE,
    answer: { taken: table[0] },
  });
  t.like(admitted(primary, batch(10, [20])), { kind: 'order', order: { chunkOffset: 100 } });
  t.deepEqual(primary.recallWriter(1).entry?.records, [...records, { chunkOffset: 100, length: 20 }]);
  const lost = primaryOf({ length: 600, table, lostBlocks: new Set([0]) });
  t.is(codeOfRefusal(lost, batch(9, [20])), 'CHUNK_LOST');
  t.like(admitted(lost, batch(10, [20])), { kind: 'order' });
});

test('P16: a table has room for so many writers of numbered records', (t) => {
  const records = [{ chunkOffset: 0, length: 1 }];
  const entry = { number: 1, chunkOffset: 0, length: 1, checksum: 1, records };
  const table = Array.from({ length: NUMBERED_WRITERS_MAX }, (_, index) => ({
    ...entry,
    writer: 10 + index,
  }));
  const primary = primaryOf({ length: 1, table });
  t.like(admitted(primary, batch(2, [5], 10)), { kind: 'order', order: { kind: 'append' } });
  t.like(admitted(primary, append(5, 1, 5)), { kind: 'order', order: { kind: 'append' } });
  t.like(admitted(primary, batch(1, [5], 6)), { kind: 'order', order: { kind: 'seal' } });
});
