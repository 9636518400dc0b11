/** Longer ones fit into no frame. */
export const REQUEST_ID_BYTES_MAX = 128;
/** They stand in lines of logs, and people search for them there. */
const VALID = /^[\x21-\x7e]{1,128}$/;
const BETWEEN = ',';

/**
 * Names of operations, for the log lines of every process that works on one: six random digits of this process, then a
 * count. Unique enough to grep logs by.
 */
export class RequestIds {
  readonly #prefix: string;
  #count = 0;

  constructor(random: () => number) {
    this.#prefix = `${Math.floor(random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0')}-`;
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36);
  }
}

/** What somebody else calls an operation, if it can be called so: visible ASCII, 128 characters at most. */
export function requestIdOf(told: unknown): string | undefined {
  return typeof told === 'string' && VALID.test(told) ? told : undefined;
}

/** Of several operations that go on together: whoever searches for one finds it, unless there is no room for all. */
export function joinedRequestIds(ids: Iterable<string>): string {
  let joined = '';
  let last = '';
  for (const id of ids) {
    if (id === last) continue;
    last = id;
    if (joined.length + BETWEEN.length + id.length > REQUEST_ID_BYTES_MAX) break;
    joined = joined === '' ? id : joined + BETWEEN + id;
  }
  return joined;
}
