import { readFileSync } from 'node:fs';
import { UsageError } from '../program.ts';

type Kind = 'user' | 'group';
const FILES: Readonly<Record<Kind, string>> = { user: '/etc/passwd', group: '/etc/group' };
const ID_MAX = 0xfffffffe;

/** This machine's names of users and groups; the cluster knows their numbers alone. */
export class Owners {
  readonly #names = new Map<Kind, Map<string, number>>();
  readonly #texts = new Map<string, string>();

  /** The name of that number, or the number. */
  text(kind: Kind, id: number): string {
    const key = `${kind} ${id}`;
    let text = this.#texts.get(key);
    if (text === undefined) {
      text = [...this.#namesOf(kind)].find(([, named]) => named === id)?.[0] ?? String(id);
      this.#texts.set(key, text);
    }
    return text;
  }

  /** A name or a number. */
  id(kind: Kind, text: string): number {
    const id = this.#namesOf(kind).get(text) ?? (/^\d+$/.test(text) ? Number(text) : Number.NaN);
    if (id >= 0 && id <= ID_MAX) return id;
    throw new UsageError(`no ${kind} "${text}" in ${FILES[kind]}; a number does, too`);
  }

  #namesOf(kind: Kind): Map<string, number> {
    let names = this.#names.get(kind);
    if (names === undefined) {
      names = new Map(linesOf(FILES[kind]).map(([name = '', , id]) => [name, Number(id)]));
      this.#names.set(kind, names);
    }
    return names;
  }
}

function linesOf(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}
