import test from 'ava';
import { hasEndingSignal } from '../../mount/being-killed.ts';
import { InFlight } from '../../mount/in-flight.ts';

const reading = { unique: 2n, kind: 'read', reader: 0, pid: 7 } as const;
const writing = { unique: 4n, kind: 'write', reader: 1, pid: 8 } as const;

test('whose caller got a signal is known until it is answered', (t) => {
  const inFlight = new InFlight();
  inFlight.begin(reading);
  t.false(inFlight.isAnyInterrupted);
  inFlight.interrupt(2n);
  t.deepEqual([...inFlight.interrupted], [reading]);
  t.true(inFlight.end(2n));
  t.false(inFlight.isAnyInterrupted);
  t.false(inFlight.end(2n), 'once');
  t.is(inFlight.size, 0);
});

test('what may have been applied is never given up', (t) => {
  const inFlight = new InFlight();
  for (const kind of [
    'write',
    'create',
    'createUnnamed',
    'rename',
    'unlink',
    'setAttributes',
    'open',
    'flush',
  ] as const) {
    inFlight.begin({ ...writing, kind });
    inFlight.interrupt(4n);
    t.false(inFlight.isAnyInterrupted, kind);
    t.true(inFlight.end(4n), kind);
  }
});

test('a signal that overtakes its request is kept for it', (t) => {
  const inFlight = new InFlight();
  inFlight.interrupt(2n);
  inFlight.interrupt(4n);
  inFlight.begin(reading);
  inFlight.begin(writing);
  t.deepEqual([...inFlight.interrupted], [reading]);
  inFlight.end(2n);
  inFlight.begin(reading);
  t.false(inFlight.isAnyInterrupted, 'once');
});

test('signals for requests that were answered do not pile up', (t) => {
  const inFlight = new InFlight();
  inFlight.interrupt(2n);
  for (let unique = 100n; unique < 1000n; unique += 1n) inFlight.interrupt(unique);
  inFlight.begin(reading);
  t.false(inFlight.isAnyInterrupted, 'the oldest is dropped');
});

test('who has a signal coming that ends him is being killed', (t) => {
  const status = (masks: Record<string, string>) =>
    [
      'Name:\tcat',
      ...Object.entries({ SigPnd: '0', ShdPnd: '0', SigBlk: '0', SigIgn: '0', SigCgt: '0', ...masks }),
    ]
      .map((entry) => (typeof entry === 'string' ? entry : `${entry[0]}:\t${entry[1].padStart(16, '0')}`))
      .join('\n');
  const check = (masks: Record<string, string>, expected: boolean) =>
    t.is(hasEndingSignal(status(masks)), expected, JSON.stringify(masks));
  check({}, false);
  check({ SigPnd: '100' }, true);
  check({ ShdPnd: '4000' }, true);
  check({ ShdPnd: '4' }, true);
  check({ ShdPnd: '4', SigCgt: '4' }, false);
  check({ ShdPnd: '4', SigIgn: '4' }, false);
  check({ ShdPnd: '4', SigBlk: '4' }, false);
  check({ SigPnd: '2000', SigCgt: '2000' }, false);
  check({ ShdPnd: '10000', SigPnd: '80000' }, false);
  check({ SigPnd: '8000000000000000' }, true);
});

test('a signal asks what can be cancelled to end, and its answer, whatever it is, is given', (t) => {
  const inFlight = new InFlight();
  const cancellation = new AbortController();
  const lock = { kind: 'setLock', reader: 0, pid: 9, cancellation } as const;
  t.true(inFlight.begin({ ...lock, unique: 2n }));
  inFlight.interrupt(2n);
  t.true(cancellation.signal.aborted);
  t.false(inFlight.isAnyInterrupted, 'nobody looks whether its caller is being killed');
  t.true(inFlight.end(2n));
  inFlight.interrupt(4n);
  t.false(inFlight.begin({ ...lock, unique: 4n }), 'it was there first');
  inFlight.interrupt(6n);
  t.true(inFlight.begin({ ...lock, unique: 6n, cancellation: undefined }), 'an unlock is never left undone');
});
