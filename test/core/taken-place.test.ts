import test from 'ava';
import { TakenPlace } from '../../src/core/taken-place.ts';

const times = { silenceMs: 5000, marginMs: 1000 };

test('a process that lives on after the silence is no predecessor', (t) => {
  const place = new TakenPlace(times);
  t.false(place.refused('a', 100));
  t.false(place.refused('a', 6100));
  t.true(place.refused('a', 6101));
});

test('a predecessor whose registration came late is waited for as long again', (t) => {
  const place = new TakenPlace(times);
  t.false(place.refused('a', 0));
  t.false(place.refused('b', 5900));
  t.false(place.refused('b', 11_900));
  t.true(place.refused('b', 11_901));
});

test('who was registered meanwhile begins anew', (t) => {
  const place = new TakenPlace(times);
  place.refused('a', 0);
  place.registered();
  t.false(place.refused('a', 9000));
});
