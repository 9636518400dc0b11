import test from 'ava';
import { ListedNames } from '../../../mount/gfs/listed-names.ts';

const named = (number: number) => Buffer.from(`name-${String(number).padStart(7, '0')}`);
const LATE = 2 ** 30;

test('names in their order are numbered from 1, and each is found again under its number', (t) => {
  const names = new ListedNames();
  const count = 5000;
  for (let index = 1; index <= count; index += 1) t.is(names.number(named(index)), index);
  for (let index = 1; index <= count; index += 1)
    t.deepEqual(Buffer.from(names.name(index) ?? []), named(index));
  t.is(names.name(0), undefined);
  t.is(names.name(count + 1), undefined);
  t.is(names.name(LATE), undefined);
});

test('a name that is listed again has the number that it had', (t) => {
  const names = new ListedNames();
  for (let index = 1; index <= 3000; index += 1) names.number(named(2 * index));
  for (let index = 1; index <= 3000; index += 1) t.is(names.number(named(2 * index)), index);
});

test('names that turn up in between have numbers of their own, which they keep', (t) => {
  const names = new ListedNames();
  for (let index = 1; index <= 3000; index += 1) names.number(named(2 * index));
  const odd = [1, 2047, 2049, 4097, 5999];
  for (const _ of [1, 2])
    t.deepEqual(
      odd.map((number) => names.number(named(number))),
      [0, 1, 2, 3, 4].map((late) => LATE + late),
    );
  t.deepEqual(Buffer.from(names.name(LATE + 3) ?? []), named(4097));
  t.is(names.number(named(6001)), 3001, 'and what comes behind all goes on');
});

test('names of one byte, of 255, and of bytes that are no text', (t) => {
  const names = new ListedNames();
  const given = [Buffer.from([1]), Buffer.from([1, 255]), Buffer.alloc(255, 0x80), Buffer.from([255])];
  for (const name of given) names.number(name);
  for (let index = 0; index < 1024; index += 1)
    names.number(Buffer.concat([Buffer.from([255]), named(index)]));
  t.deepEqual(
    [1, 2, 3, 4].map((number) => Buffer.from(names.name(number) ?? [])),
    given,
  );
  t.deepEqual(
    given.map((name) => names.number(name)),
    [1, 2, 3, 4],
  );
});
