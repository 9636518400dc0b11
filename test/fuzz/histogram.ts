import type { Outcome } from './comparison.ts';

interface Tally {
  count: number;
  milliseconds: number;
}

/** How often each kind of operation came to what, and how long a mount took for it: a line for each kind. */
export class Histogram {
  readonly #tallies = new Map<string, Map<string, Tally>>();

  add(kind: string, { text, milliseconds }: Outcome): void {
    const tallies = this.#tallies.get(kind) ?? new Map<string, Tally>();
    this.#tallies.set(kind, tallies);
    const name = /^(E[A-Z0-9]+|SIGBUS)$/.exec(text)?.[0] ?? 'ok';
    const tally = tallies.get(name) ?? { count: 0, milliseconds: 0 };
    tallies.set(name, tally);
    tally.count += 1;
    tally.milliseconds += milliseconds;
  }

  lines(): string[] {
    return [...this.#tallies].sort().map(([kind, tallies]) => {
      const outcomes = [...tallies].sort(([, one], [, other]) => other.count - one.count);
      const mean = ({ count, milliseconds }: Tally) => `${count} (${(milliseconds / count).toFixed(2)} ms)`;
      return `${kind}: ${outcomes.map(([name, tally]) => `${name} ${mean(tally)}`).join(', ')}`;
    });
  }
}
