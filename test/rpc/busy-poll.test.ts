import test from 'ava';
import { BusyPoll } from '../../src/rpc/busy-poll.ts';

/** A process whose turns take 10 µs each. */
class Process {
  nowMs = 0;
  readonly poll = new BusyPoll({
    env: { monotonicMs: () => this.nowMs },
    nextTurn: (task) => {
      this.#task = task;
    },
  });
  #task: (() => void) | undefined;

  /** Answers what has just come, and lets turns pass until it sleeps or the next request comes. How many there were. */
  turnsUntil(requestMs: number, turnMs = 0.01): number {
    const comesMs = this.nowMs + requestMs;
    this.poll.answered();
    let count = 0;
    for (; this.#task !== undefined; count += 1) {
      this.nowMs += turnMs;
      if (this.nowMs >= comesMs - 0.001) this.poll.arrived();
      const task = this.#task;
      this.#task = undefined;
      task();
    }
    this.nowMs = Math.max(this.nowMs, comesMs);
    this.poll.arrived();
    return count;
  }
}

test('while requests come close behind answers it looks for the next one, until it comes', (t) => {
  const process = new Process();
  t.is(process.turnsUntil(0.1), 0);
  t.is(process.turnsUntil(0.1), 10);
  t.is(process.turnsUntil(0.05), 5);
});

test('it looks for no longer than requests are worth, and not at all where they come later', (t) => {
  const process = new Process();
  process.turnsUntil(0.1);
  t.true(Math.abs(process.turnsUntil(0.4) - 25) <= 1);
  t.true(Math.abs(process.turnsUntil(10) - 25) <= 1);
  t.is(process.turnsUntil(10), 0);
  t.is(process.turnsUntil(0.1), 0);
  t.is(process.turnsUntil(0.1), 10);
});

test('it does not look for more behind an answer that took long', (t) => {
  const process = new Process();
  process.turnsUntil(0.1);
  process.nowMs += 0.3;
  t.is(process.turnsUntil(0.1), 0);
  t.is(process.turnsUntil(0.1), 10);
});

test('an answer that follows another makes it look for longer, by one turn at a time', (t) => {
  const process = new Process();
  process.turnsUntil(0.1);
  process.poll.answered();
  process.nowMs += 0.2;
  t.true(Math.abs(process.turnsUntil(1) - 25) <= 1);
});

test('when somebody else wants the processor he gets it', (t) => {
  const process = new Process();
  process.turnsUntil(0.1);
  t.is(process.turnsUntil(0.2, 0.06), 1);
});
