import type { StandardOutput } from './standard-streams.ts';

/** A JSON array that is printed as its elements come, one a line. */
export class JsonList {
  readonly #out: StandardOutput;
  #count = 0;

  constructor(out: StandardOutput) {
    this.#out = out;
  }

  async add(value: unknown): Promise<void> {
    await this.#out.text(`${this.#count === 0 ? '[' : ','}\n${JSON.stringify(value)}`);
    this.#count += 1;
  }

  async end(): Promise<void> {
    await this.#out.text(this.#count === 0 ? '[]\n' : '\n]\n');
  }
}
