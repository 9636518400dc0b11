import assert from 'node:assert/strict';
import { type Answer, Caller, PEOPLE, type Person } from './caller.ts';

/** The callers at one place, each begun anew in every check's directory. */
export class Callers {
  readonly #program: string;
  readonly #callers = new Map<Person, Caller>();

  constructor(program: string) {
    this.#program = program;
  }

  get(person: Person): Caller {
    const there = this.#callers.get(person);
    if (there !== undefined) return there;
    const caller = new Caller(this.#program, person);
    this.#callers.set(person, caller);
    return caller;
  }

  end(): void {
    for (const caller of this.#callers.values()) caller.end();
    this.#callers.clear();
  }
}

const LINE = /^(?:(?<who>root|ann|bob|mate): *)?(?<call>.*?)(?: *-> *(?<wanted>.*))?$/;
const ERRNOS = /^E[A-Z0-9]+(\|E[A-Z0-9]+)*$/;
const TIMES = ['atime', 'mtime', 'ctime'];

/**
 * What a check has: an empty directory that everybody may write to, which each caller works in.
 *
 * A script is a call a line, as `caller.cc` knows them, and what is to come of it:
 *
 *     ann: mkdir d 700              ann does it, and it works (root, when nobody is named)
 *     bob: list d -> EACCES         it fails so; "EEXIST|ENOTEMPTY" is either
 *     lstat d mode uid -> 700 @ann  it answers that; @NAME is that person's number
 *     keep i lstat d ino            $i is the answer from now on
 *     mark d f                      their times are noted, and later changes get later ones
 *     moved d mtime ctime           since it was marked these times moved on, and no other
 *     equal $i $j, differ $i $j     two words
 */
export class World {
  readonly directory: string;
  /** Who made calls. */
  readonly people = new Set<Person>();
  readonly #callers: Callers;
  readonly #kept = new Map<string, string>();
  readonly #marked = new Map<string, readonly string[]>();

  constructor(directory: string, callers: Callers) {
    this.directory = directory;
    this.#callers = callers;
  }

  async script(text: string): Promise<void> {
    for (const line of text.split('\n').map((part) => part.trim())) {
      if (line !== '') await this.#line(line);
    }
  }

  /** A call that works, and its answer. */
  async call(who: Person, line: string): Promise<string> {
    const answer = await this.ask(who, line);
    assert.ok('values' in answer, `${who}: ${shortened(line)}: ${shown(answer)}`);
    return answer.values;
  }

  async ask(who: Person, line: string): Promise<Answer> {
    const caller = this.#callers.get(who);
    if (!this.people.has(who)) {
      this.people.add(who);
      const begun = await caller.call('reset', this.directory);
      assert.ok('values' in begun, `${who} comes to the directory: ${shown(begun)}`);
    }
    return await caller.send(line);
  }

  async #line(line: string): Promise<void> {
    const { who = 'root', call = '', wanted } = LINE.exec(line)?.groups ?? {};
    const [verb = '', ...words] = call.split(/ +/).map((word) => this.#meant(word));
    const person = who as Person;
    switch (verb) {
      case 'keep': {
        const [name = '', ...rest] = words;
        this.#kept.set(name, await this.call(person, rest.join(' ')));
        return;
      }
      case 'mark':
        for (const path of words) this.#marked.set(path, await this.#timesOf(path));
        await this.call('root', 'tick');
        return;
      case 'moved':
        return await this.#checkMoved(words[0] ?? '', words.slice(1));
      case 'equal':
        return assert.equal(words[0], words[1], `${line}: ${words[0]} and ${words[1]}`);
      case 'differ':
        return assert.notEqual(words[0], words[1], `${line}: both are ${words[0]}`);
    }
    const answer = await this.ask(person, [verb, ...words].join(' '));
    const got = shown(answer);
    const expected = wanted?.split(/ +/).map((word) => this.#meant(word));
    const fits =
      expected === undefined
        ? 'values' in answer
        : ERRNOS.test(expected.join(' '))
          ? 'errno' in answer && expected.join(' ').split('|').includes(answer.errno)
          : 'values' in answer && answer.values === expected.join(' ');
    assert.ok(fits, `${shortened(line)}: ${shortened(got)}`);
  }

  async #checkMoved(path: string, wanted: readonly string[]): Promise<void> {
    const before = this.#marked.get(path);
    assert.ok(before !== undefined, `${path} was marked`);
    const now = await this.#timesOf(path);
    const moved = TIMES.filter((_, index) => BigInt(now[index] ?? 0) > BigInt(before[index] ?? 0));
    const back = TIMES.filter((_, index) => BigInt(now[index] ?? 0) < BigInt(before[index] ?? 0));
    assert.deepEqual([moved, back], [TIMES.filter((time) => wanted.includes(time)), []], `times of ${path}`);
  }

  async #timesOf(path: string): Promise<readonly string[]> {
    return (await this.call('root', ['lstat', path, ...TIMES].join(' '))).split(' ');
  }

  #meant(word: string): string {
    if (word.startsWith('@')) return String(PEOPLE[word.slice(1) as Person].uid);
    return word.startsWith('$') ? (this.#kept.get(word.slice(1)) ?? word) : word;
  }
}

function shown(answer: Answer): string {
  return 'errno' in answer ? answer.errno : answer.values || 'it worked';
}

function shortened(text: string): string {
  return text.replace(/(.{24})[^ ]{40,}/g, '$1...');
}
