import test from 'ava';
import { checksumsOf } from '../../src/base/crc.ts';
import { KiB } from '../../src/base/units.ts';
import { BlockChecksums, poisoned } from '../../src/core/replica-checksums.ts';
import { Random } from '../sim/random.ts';

const BLOCK = 64 * KiB;

test('after any writes, zeros, gaps and cuts the checksums are those of the bytes', (t) => {
  const dice = new Random('checksums');
  for (let round = 0; round < 40; round += 1) {
    const checksums = new BlockChecksums();
    let bytes = Buffer.alloc(0);
    for (let step = 0; step < 12; step += 1) {
      const offset = dice.pick([0, BLOCK, 2 * BLOCK, bytes.length, dice.below(bytes.length + BLOCK)]);
      if (dice.chance(0.2) && offset < bytes.length) {
        bytes = bytes.subarray(0, offset);
        checksums.cut(offset, checksumsOf([bytes], 0).at(-1) ?? 0);
      } else {
        const data = Buffer.alloc(dice.pick([1, 100, BLOCK, 1 + dice.below(3 * BLOCK)]), dice.bytes(99));
        const old = new Map(
          checksums
            .mergedBlocks(offset, data.length)
            .map((index) => [index, bytes.subarray(index * BLOCK, (index + 1) * BLOCK)]),
        );
        const pieces = checksumsOf([data], offset);
        const parts = [data.subarray(0, 7), data.subarray(7)];
        const isZeros = dice.chance(0.3);
        if (isZeros) data.fill(0);
        const sums = isZeros
          ? checksums.afterZeros(offset, data.length, old)
          : checksums.afterWrite(offset, parts, pieces, old);
        checksums.write(offset, data.length, sums);
        const grown = Buffer.alloc(Math.max(bytes.length, offset + data.length));
        bytes.copy(grown);
        data.copy(grown, offset);
        bytes = grown;
      }
      t.is(checksums.length, bytes.length);
      t.deepEqual(checksums.sums, checksumsOf([bytes], 0));
    }
  }
});

test('only blocks that keep some of their bytes need them', (t) => {
  const checksums = new BlockChecksums();
  checksums.extend(2 * BLOCK + 100);
  const check = (offset: number, length: number, expected: number[]) =>
    t.deepEqual(checksums.mergedBlocks(offset, length), expected);
  check(0, BLOCK, []);
  check(1, BLOCK, [0, 1]);
  check(BLOCK, BLOCK + 100, []);
  check(BLOCK, BLOCK + 99, [2]);
  check(2 * BLOCK + 50, 100, [2]);
  check(2 * BLOCK + 100, 10, []);
  check(3 * BLOCK, 10, []);
});

test('a block that grows keeps what was wrong with it', (t) => {
  const checksums = new BlockChecksums();
  const data = Buffer.from('what was written');
  checksums.write(0, data.length, checksumsOf([data], 0));
  const more = Buffer.from(', and more');
  const [sum] = checksums.afterWrite(data.length, [more], checksumsOf([more], data.length), new Map());
  const rotten = Buffer.from('what was wrotten, and more');
  t.deepEqual([sum], checksumsOf([data, more], 0));
  t.not(sum, checksumsOf([rotten], 0)[0]);
});

test('a poisoned checksum is not that of the bytes', (t) => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(5), Buffer.from('x')]) {
    t.not(poisoned(bytes), checksumsOf([bytes], 0)[0] ?? 0);
  }
});
