import test from 'ava';
import { Rounds } from '../../src/chunkserver/rounds.ts';

/** Rounds that end when they are told to. */
function rounds() {
  const begun: ((value: number) => void)[] = [];
  const askers: string[] = [];
  const all = new Rounds((requestId) => {
    askers.push(requestId);
    return new Promise<number>((resolve) => begun.push(resolve));
  });
  return { begun, askers, join: (requestId = '') => all.join(requestId) };
}

test('P22: who asks while a round is under way gets one that begins after his question', async (t) => {
  const { begun, join } = rounds();
  const first = join();
  const late = [join(), join()];
  t.is(begun.length, 1);
  begun[0]?.(1);
  t.is(await first, 1);
  await Promise.resolve();
  t.is(begun.length, 2, 'one round for all who waited');
  const later = join();
  begun[1]?.(2);
  t.deepEqual(await Promise.all(late), [2, 2]);
  begun[2]?.(3);
  t.is(await later, 3);
});

test('a round is told the names of all whom it is for', async (t) => {
  const { begun, askers, join } = rounds();
  const first = join('a-1');
  const late = [join('a-2'), join('b-1')];
  begun[0]?.(1);
  await first;
  await Promise.resolve();
  begun[1]?.(2);
  await Promise.all(late);
  t.deepEqual(askers, ['a-1', 'a-2,b-1']);
});

test('a round that fails is no failure of the next one', async (t) => {
  let count = 0;
  const all = new Rounds(async () => {
    count += 1;
    if (count === 1) throw new Error('the first');
    return count;
  });
  const first = all.join('');
  const second = all.join('');
  await t.throwsAsync(first, { message: 'the first' });
  t.is(await second, 2);
  t.is(await all.join(''), 3);
});
