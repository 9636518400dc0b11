import type { Env } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import { EILSEQ, ErrnoError, ESTALE, errnoOf } from '../errno.ts';
import type { Caller, FileSystem } from '../file-system.ts';
import { ROOT_NODE } from '../wire/numbers.ts';
import type { Entry } from '../wire/replies.ts';
import { DentryCache, type Place } from './dentry-cache.ts';
import { HiddenFiles } from './hidden-files.ts';

/** libfuse asks by paths, the file system answers by nodes: this goes from one to the other, name by name. */
export class PathWalker {
  readonly hidden = new HiddenFiles();
  readonly dentries: DentryCache;
  readonly #fileSystem: FileSystem;
  readonly #caller: Caller;

  constructor(env: Env, fileSystem: FileSystem, caller: Caller) {
    this.dentries = new DentryCache(env);
    this.#fileSystem = fileSystem;
    this.#caller = caller;
  }

  /**
   * Has something done to the node of a path. One that is gone (ESTALE) was remembered too long, and its name may mean
   * another by now.
   */
  async at<T>(path: string, work: (node: number) => Promise<T>): Promise<T> {
    try {
      return await work(await this.node(path));
    } catch (error) {
      if (errnoOf(error) !== ESTALE) throw error;
    }
    this.#forget(path);
    try {
      return await work(await this.node(path));
    } catch (error) {
      throw errnoOf(error) === ESTALE ? new GfsError('NOT_FOUND', path) : error;
    }
  }

  async node(path: string): Promise<number> {
    const hidden = this.hidden.get(path);
    if (hidden !== undefined) return hidden;
    let node = ROOT_NODE;
    for (const name of namesOf(path)) {
      const place = { parent: node, name };
      node = this.dentries.get(place) ?? (await this.look(place)).attributes.node;
    }
    return node;
  }

  /** Where the last name of a path stands. */
  async place(path: string): Promise<Place> {
    const slash = path.lastIndexOf('/');
    const [name] = namesOf(path.slice(slash));
    if (name === undefined) throw new GfsError('BUSY', 'the root has no name');
    return { parent: await this.node(path.slice(0, slash)), name };
  }

  /** Asks, in any case. */
  async look(place: Place): Promise<Entry> {
    return this.learn(place, () => this.#fileSystem.lookup({ kind: 'lookup', ...place }, this.#caller));
  }

  /** Keeps what is answered of a name. */
  async learn<E extends Entry>(place: Place, ask: () => Promise<E>): Promise<E> {
    const asked = this.dentries.asking();
    const entry = await ask();
    this.dentries.learn(place, entry, asked);
    return entry;
  }

  /** Something changes the meaning of names; what is asked meanwhile may be answered either way. */
  async changing(places: readonly Place[], change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } finally {
      for (const place of places) this.dentries.drop(place);
    }
  }

  #forget(path: string): void {
    let node: number | undefined = ROOT_NODE;
    for (const name of namesOf(path)) {
      if (node === undefined) return;
      const place: Place = { parent: node, name };
      node = this.dentries.get(place);
      this.dentries.drop(place);
    }
  }
}

function namesOf(path: string): Buffer[] {
  return checkedText(path)
    .split('/')
    .filter((name) => name !== '')
    .map((name) => Buffer.from(name));
}

/** The binding puts U+FFFD where bytes are not UTF-8: what they were cannot be known any more. */
export function checkedText(text: string): string {
  if (text.includes('\ufffd')) throw new ErrnoError(EILSEQ, 'not UTF-8');
  return text;
}
