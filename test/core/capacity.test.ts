import test from 'ava';
import fc from 'fast-check';
import { capacityOf, fileCapacityOf, inodesThatFit, type ServerDisk } from '../../src/core/capacity.ts';

const GOAL = { goal: 3, memberCountMin: 2 };

function server(disk: string, freeBytes: number, changes: Partial<ServerDisk> = {}): ServerDisk {
  return { disk, freeBytes, totalBytes: 1000, usedBytes: 0, reserveBytes: 0, ...changes };
}

function free(shares: readonly number[], wish = GOAL): number {
  return fileCapacityOf(
    shares.map((bytes, index) => server(`d${index}`, bytes)),
    wish,
  ).freeBytes;
}

test('servers of one disk do not have its room twice', (t) => {
  const used = { usedBytes: 30 };
  const three = [server('d', 600, used), server('d', 600, used), server('d', 590, used)];
  t.deepEqual(capacityOf(three), { totalBytes: 1000, freeBytes: 590, usedBytes: 90 });
  t.deepEqual(fileCapacityOf(three, GOAL), { totalBytes: 196 + 30, freeBytes: 196 });
});

test('what is reserved, or used by others, is not offered', (t) => {
  const servers = ['a', 'b', 'c'].map((disk) => server(disk, 500, { usedBytes: 100, reserveBytes: 200 }));
  t.deepEqual(capacityOf(servers), { totalBytes: 2400, freeBytes: 900, usedBytes: 300 });
  t.deepEqual(fileCapacityOf(servers, GOAL), { totalBytes: 400, freeBytes: 300 });
  const full = ['a', 'b', 'c'].map((disk) => server(disk, 100, { usedBytes: 100, reserveBytes: 200 }));
  t.deepEqual(fileCapacityOf(full, GOAL), { totalBytes: 100, freeBytes: 0 });
});

test('each byte is on so many different servers: a large disk beside small ones does not help', (t) => {
  t.is(free([100, 100, 100]), 100);
  t.is(free([1000, 100, 100, 100]), 150);
  t.is(free([1000, 1000, 100, 100]), 1000, 'two members are enough to write to');
  t.is(free([1000, 1000, 100, 100], { goal: 3, memberCountMin: 3 }), 200);
});

test('with fewer servers than the goal there are fewer copies, with too few nothing is free', (t) => {
  t.is(free([100, 100]), 100);
  t.is(free([100]), 0);
  t.is(free([]), 0);
  t.is(free([100], { goal: 1, memberCountMin: 1 }), 100);
});

test('no more than is said to be free can be placed on different servers, and no less', (t) => {
  const shares = fc.array(fc.nat({ max: 30 }), { minLength: 3, maxLength: 6 });
  fc.assert(
    fc.property(shares, fc.integer({ min: 1, max: 3 }), (rooms, goal) => {
      const said = free(rooms, { goal, memberCountMin: goal });
      const left = [...rooms];
      let placed = 0;
      for (;;) {
        // The emptiest first is as good as any order can be.
        left.sort((one, other) => other - one);
        if ((left[goal - 1] ?? 0) < 1) break;
        for (let copy = 0; copy < goal; copy += 1) left[copy] = (left[copy] ?? 0) - 1;
        placed += 1;
      }
      t.is(placed, said);
    }),
  );
});

test('inodes are as many as the master has room for', (t) => {
  t.is(inodesThatFit(0), 0);
  t.true(inodesThatFit(2 ** 30) > 100_000);
});
