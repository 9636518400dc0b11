import test from 'ava';
import { InFlight } from '../../mount/in-flight.ts';

const reading = { unique: 2n, kind: 'read', reader: 0 } as const;
const writing = { unique: 4n, kind: 'write', reader: 1 } as const;

test('a signal ends a read at once, and its late answer is dropped', (t) => {
  const inFlight = new InFlight();
  t.true(inFlight.begin(reading));
  t.deepEqual(inFlight.interrupt(2n), reading);
  t.false(inFlight.end(2n));
  t.is(inFlight.size, 0);
});

test('a signal does not end what may have been applied', (t) => {
  const inFlight = new InFlight();
  for (const kind of ['write', 'create', 'rename', 'unlink', 'setAttributes', 'open', 'flush'] as const) {
    inFlight.begin({ ...writing, kind });
    t.is(inFlight.interrupt(4n), undefined, kind);
    t.true(inFlight.end(4n), kind);
  }
});

test('a signal that overtakes its request is kept for it', (t) => {
  const inFlight = new InFlight();
  inFlight.interrupt(2n);
  inFlight.interrupt(4n);
  t.false(inFlight.begin(reading));
  t.true(inFlight.begin(writing));
  t.true(inFlight.begin(reading), 'once');
});

test('signals for requests that were answered do not pile up', (t) => {
  const inFlight = new InFlight();
  inFlight.interrupt(2n);
  for (let unique = 100n; unique < 1000n; unique += 1n) inFlight.interrupt(unique);
  t.true(inFlight.begin(reading), 'the oldest is dropped');
});

test('a signal asks what can be cancelled to end, and its answer, whatever it is, is given', (t) => {
  const inFlight = new InFlight();
  const cancellation = new AbortController();
  t.true(inFlight.begin({ unique: 2n, kind: 'setLock', reader: 0, cancellation }));
  t.is(inFlight.interrupt(2n), undefined);
  t.true(cancellation.signal.aborted);
  t.true(inFlight.end(2n));
  inFlight.interrupt(4n);
  t.false(inFlight.begin({ unique: 4n, kind: 'setLock', reader: 0, cancellation }), 'it was there first');
  inFlight.interrupt(6n);
  t.true(inFlight.begin({ unique: 6n, kind: 'setLock', reader: 0 }), 'an unlock is never left undone');
});
