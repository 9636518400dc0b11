import test from 'ava';
import fc from 'fast-check';
import { CHECKSUM_BLOCK_BYTES as BLOCK } from '../../src/base/constants.ts';
import { checksumsOf } from '../../src/base/crc.ts';
import { blockLength, type ReplicaSummary, reconcileSteps } from '../../src/core/reconcile.ts';

function summaryOf(content: Buffer, stream = { version: 0, nextSerial: 0 }, whole = true): ReplicaSummary {
  return { length: content.length, stream, checksums: checksumsOf([content], 0), whole };
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
