import test from 'ava';
import fc from 'fast-check';
import { DirtyRanges, type Epoch, NOBODY, type Slice } from '../../src/client/dirty-ranges.ts';

const UNIT = 16;
const FILE = 100;

/** What a byte of the file is: the write that it came from, 0 for clean. */
type Model = number[];

test('the latest write wins, each byte goes out once, and what is replaced is given back', (t) => {
  const write = fc.record({
    kind: fc.constant('write' as const),
    start: fc.nat(FILE - 1),
    length: fc.integer({ min: 1, max: 40 }),
  });
  const others = fc.constantFrom(
    { kind: 'force' as const },
    { kind: 'take' as const },
    { kind: 'epoch' as const },
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(write, others), { maxLength: 40 }), (steps) => {
      const model: Model = new Array<number>(FILE + 40).fill(0);
      const epochs: Epoch[] = [{ number: 0, outstandingBytes: 0 }];
      let given = 0;
      let dropped = 0;
      let taken = 0;
      const done = ({ bytes, epoch }: Slice) => {
        epoch.outstandingBytes -= bytes.length;
      };
      const ranges = new DirtyRanges(UNIT, (slice) => {
        dropped += slice.bytes.length;
        done(slice);
      });
      const take = () => {
        const part = ranges.take(() => false);
        if (part === undefined) return false;
        const bytes = Buffer.concat(part.slices.map((slice) => slice.bytes));
        t.is(bytes.length, part.end - part.start);
        t.true(Math.floor(part.start / UNIT) === Math.floor((part.end - 1) / UNIT), 'no unit border inside');
        t.deepEqual([...bytes], model.slice(part.start, part.end));
        model.fill(0, part.start, part.end);
        taken += bytes.length;
        part.slices.forEach(done);
        return true;
      };
      for (const [index, step] of steps.entries()) {
        const epoch = epochs.at(-1);
        if (epoch === undefined) return;
        if (step.kind === 'write') {
          const { start, length } = step;
          ranges.put(start, {
            bytes: Buffer.alloc(length, index + 1),
            epoch,
            owner: undefined,
            asked: NOBODY,
          });
          model.fill(index + 1, start, start + length);
          given += length;
        } else if (step.kind === 'force') ranges.force();
        else if (step.kind === 'epoch') epochs.push({ number: epoch.number + 1, outstandingBytes: 0 });
        else take();
        t.is(ranges.bytes, model.filter((byte) => byte !== 0).length);
        t.is(
          epochs.reduce((sum, { outstandingBytes }) => sum + outstandingBytes, 0),
          ranges.bytes,
        );
      }
      ranges.force();
      while (take());
      t.is(ranges.bytes, 0);
      t.is(given, taken + dropped);
      t.true(model.every((byte) => byte === 0));
    }),
  );
});

test('a write over older bytes counts for their epoch, so that their flush waits for it', (t) => {
  const [old, young] = [0, 1].map((number): Epoch => ({ number, outstandingBytes: 0 }));
  if (old === undefined || young === undefined) return;
  const ranges = new DirtyRanges(UNIT, ({ bytes, epoch }) => {
    epoch.outstandingBytes -= bytes.length;
  });
  ranges.put(0, { bytes: Buffer.alloc(8), epoch: old, owner: undefined, asked: NOBODY });
  ranges.put(4, { bytes: Buffer.alloc(8), epoch: young, owner: undefined, asked: NOBODY });
  t.is(old.outstandingBytes, 12);
  t.is(young.outstandingBytes, 0);
});
