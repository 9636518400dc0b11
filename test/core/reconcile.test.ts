import test from 'ava';
import fc from 'fast-check';
import { CHECKSUM_BLOCK_BYTES as BLOCK } from '../../src/base/constants.ts';
import { checksumsOf } from '../../src/base/crc.ts';
import { blockLength, type ReplicaSummary, reconcileSteps } from '../../src/core/reconcile.ts';
import type { AppendEntry } from '../../src/core/replica-types.ts';

function summaryOf(content: Buffer, stream = { version: 0, nextSerial: 0 }, whole = true): ReplicaSummary {
  return { length: content.length, stream, checksums: checksumsOf([content], 0), table: [], whole };
}

function entry(writer: number, number: number): AppendEntry {
  return { writer, number, chunkOffset: 10 * number, length: 10, checksum: number };
}

test('replicas that applied the same orders cost one comparison', (t) => {
  const stream = { version: 3, nextSerial: 8 };
  const content = Buffer.alloc(3 * BLOCK, 1);
  t.deepEqual(reconcileSteps(summaryOf(content, stream), summaryOf(content, stream)), [{ kind: 'finish' }]);
});

test('after a loss of power, or in the middle of a reconcile, serials prove nothing', (t) => {
  const stream = { version: 3, nextSerial: 8 };
  const good = Buffer.alloc(2 * BLOCK, 1);
  const bad = Buffer.concat([Buffer.alloc(BLOCK, 1), Buffer.alloc(BLOCK, 2)]);
  const steps = [{ kind: 'block', blockIndex: 1 }, { kind: 'finish' }];
  t.deepEqual(reconcileSteps(summaryOf(good, stream), summaryOf(bad, stream, false)), steps);
  t.deepEqual(reconcileSteps(summaryOf(good, stream, false), summaryOf(bad, stream)), steps);
  t.deepEqual(reconcileSteps(summaryOf(good), summaryOf(bad)), steps);
});

test('P8: what a member alone has of the table is taken from it first, though nothing else differs', (t) => {
  const content = summaryOf(Buffer.alloc(50, 1));
  const primary = { ...content, table: [entry(1, 4), entry(2, 7), entry(3, 1)] };
  const member = { ...content, table: [entry(1, 5), entry(2, 7), entry(4, 9)] };
  const [cut, ...rest] = reconcileSteps(primary, member);
  t.deepEqual(cut, { kind: 'cut', length: 50, table: { lowered: [entry(1, 4)], dropped: [4] } });
  t.deepEqual(rest, [{ kind: 'finish' }]);
  t.deepEqual(reconcileSteps(primary, { ...primary, table: [entry(1, 3)] }), [{ kind: 'finish' }]);
});

test('the steps make any replica equal to any other', (t) => {
  const contents = fc
    .array(fc.integer({ min: 0, max: 2 }), { maxLength: 5 })
    .chain((blocks) => fc.tuple(fc.constant(blocks), fc.nat({ max: BLOCK - 1 })))
    .map(([blocks, cut]) =>
      Buffer.concat(blocks.map((byte) => Buffer.alloc(BLOCK, byte))).subarray(0, blocks.length * BLOCK - cut),
    );
  fc.assert(
    fc.property(contents, contents, (primary, member) => {
      let content = member;
      for (const step of reconcileSteps(summaryOf(primary), summaryOf(member))) {
        if (step.kind === 'cut') content = content.subarray(0, step.length);
        if (step.kind === 'block') {
          const start = step.blockIndex * BLOCK;
          const end = start + blockLength(primary.length, step.blockIndex);
          const grown = Buffer.alloc(Math.max(content.length, end));
          content.copy(grown);
          primary.copy(grown, start, start, end);
          content = grown;
        }
      }
      t.true(content.equals(primary));
    }),
    { numRuns: 100 },
  );
});

test('P8: what a primary has of numbered records takes the place of what a member alone has', (t) => {
  const content = summaryOf(Buffer.alloc(50, 1));
  const records = [{ chunkOffset: 40, length: 10 }];
  const primary = { ...content, table: [{ ...entry(1, 4), records }] };
  const more = [...records, { chunkOffset: 50, length: 10 }];
  const member = { ...content, table: [{ ...entry(1, 5), records: more }] };
  const [cut] = reconcileSteps(primary, member);
  t.deepEqual(cut, { kind: 'cut', length: 50, table: { lowered: primary.table, dropped: [] } });
});
