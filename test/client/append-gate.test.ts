import test from 'ava';
import { AppendGate } from '../../src/client/append-gate.ts';

/** What happened, in its order; `step` makes an append or some work that ends when it is told to. */
function story() {
  const events: string[] = [];
  const ends = new Map<string, () => void>();
  const step = (name: string) => async () => {
    events.push(`${name} begins`);
    await new Promise<void>((resolve) => ends.set(name, resolve));
    events.push(`${name} ends`);
  };
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const end = async (name: string) => {
    ends.get(name)?.();
    await turn();
  };
  return { events, step, end, turn };
}

test('a gate closes behind those that have passed, and the others wait until it opens', async (t) => {
  const gate = new AppendGate();
  const { events, step, end, turn } = story();
  const all = [
    gate.pass(step('a')),
    gate.pass(step('b')),
    gate.whileClosed(step('work')),
    gate.pass(step('c')),
  ];
  await turn();
  t.deepEqual(events.splice(0), ['a begins', 'b begins']);
  await end('b');
  await end('a');
  t.deepEqual(events.splice(0), ['b ends', 'a ends', 'work begins']);
  await end('work');
  t.deepEqual(events.splice(0), ['work ends', 'c begins']);
  await end('c');
  await Promise.all(all);
  // And again, with nobody in it.
  const again = gate.whileClosed(step('work'));
  await turn();
  t.deepEqual(events.splice(1), ['work begins']);
  await end('work');
  await again;
});

test('a gate opens when what was done behind it fails, and forgets a record that fails', async (t) => {
  const gate = new AppendGate();
  const fails = async () => {
    throw new Error('it fails');
  };
  await t.throwsAsync(gate.pass(fails), { message: 'it fails' });
  await t.throwsAsync(gate.whileClosed(fails), { message: 'it fails' });
  t.is(await gate.pass(async () => 5), 5);
});
