/** How often each kind of operation came to what: a line for each kind. */
export class Histogram {
  readonly #counts = new Map<string, Map<string, number>>();

  add(kind: string, outcome: string): void {
    const counts = this.#counts.get(kind) ?? new Map<string, number>();
    this.#counts.set(kind, counts);
    const name = /^(E[A-Z0-9]+|SIGBUS)$/.exec(outcome)?.[0] ?? 'ok';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  lines(): string[] {
    return [...this.#counts].sort().map(([kind, counts]) => {
      const outcomes = [...counts].sort(([, one], [, other]) => other - one);
      return `${kind}: ${outcomes.map(([name, count]) => `${name} ${count}`).join(', ')}`;
    });
  }
}
