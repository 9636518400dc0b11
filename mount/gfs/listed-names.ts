import { assert } from '../../src/base/assert.ts';

const BLOCK_NAME_COUNT = 1024;
/** Beyond any number of names that come in their order; the sum fits the 32 bits of an old program's telldir(2). */
const LATE_NUMBER_FIRST = 2 ** 30;

/**
 * The names that were listed of a directory, each under a number that it keeps. Those that were listed in their order, from
 * the first one on, are 1, 2 and so on: a directory may have millions of them, so they are kept as bytes behind one another,
 * a byte for the length before each. Names that turn up when a part is listed once more have numbers far behind.
 */
export class ListedNames {
  /** Packed, `BLOCK_NAME_COUNT` names each; then the rest as they came. */
  readonly #blocks: Buffer[] = [];
  #rest: Uint8Array[] = [];
  /** The last block that names were looked for in. */
  #unpacked: { readonly bytes: Buffer; readonly names: readonly Uint8Array[] } | undefined;
  #last: Uint8Array | undefined;
  readonly #late: Buffer[] = [];
  readonly #lateNumbers = new Map<string, number>();

  /** The number of a name, which is remembered; of one that was listed before, the same as then. */
  number(name: Uint8Array): number {
    if (this.#last === undefined || Buffer.compare(name, this.#last) > 0) return this.#append(name);
    return this.#find(name) ?? this.#lateNumber(name);
  }

  /** Undefined: nothing was listed under this number. */
  name(number: number): Uint8Array | undefined {
    if (number >= LATE_NUMBER_FIRST) return this.#late[number - LATE_NUMBER_FIRST];
    const block = Math.floor((number - 1) / BLOCK_NAME_COUNT);
    return this.#namesOf(block)[(number - 1) % BLOCK_NAME_COUNT];
  }

  #append(name: Uint8Array): number {
    this.#last = name;
    this.#rest.push(name);
    const number = this.#blocks.length * BLOCK_NAME_COUNT + this.#rest.length;
    assert(number < LATE_NUMBER_FIRST, 'a directory has fewer names');
    if (this.#rest.length === BLOCK_NAME_COUNT) {
      this.#blocks.push(packed(this.#rest));
      this.#rest = [];
    }
    return number;
  }

  #find(name: Uint8Array): number | undefined {
    const blockCount = this.#blocks.length + (this.#rest.length > 0 ? 1 : 0);
    const block = countUpTo(name, blockCount, (index) => this.#firstOf(index)) - 1;
    const names = this.#namesOf(block);
    const count = countUpTo(name, names.length, (index) => names[index]);
    const last = names[count - 1];
    if (last === undefined || Buffer.compare(last, name) !== 0) return undefined;
    return block * BLOCK_NAME_COUNT + count;
  }

  #firstOf(block: number): Uint8Array | undefined {
    const bytes = this.#blocks[block];
    return bytes === undefined ? this.#rest[0] : bytes.subarray(1, 1 + (bytes[0] ?? 0));
  }

  #namesOf(block: number): readonly Uint8Array[] {
    if (block === this.#blocks.length) return this.#rest;
    const bytes = this.#blocks[block];
    if (bytes === undefined) return [];
    // Names that are listed once more come in their order, too: the next one is of the same block.
    if (this.#unpacked?.bytes !== bytes) this.#unpacked = { bytes, names: unpacked(bytes) };
    return this.#unpacked.names;
  }

  #lateNumber(name: Uint8Array): number {
    const copy = Buffer.from(name);
    const key = copy.toString('latin1');
    const known = this.#lateNumbers.get(key);
    if (known !== undefined) return known;
    const number = LATE_NUMBER_FIRST + this.#late.length;
    this.#late.push(copy);
    this.#lateNumbers.set(key, number);
    return number;
  }
}

function packed(names: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.alloc(names.reduce((sum, name) => sum + 1 + name.length, 0));
  let at = 0;
  for (const name of names) {
    bytes[at] = name.length;
    bytes.set(name, at + 1);
    at += 1 + name.length;
  }
  return bytes;
}

function unpacked(bytes: Buffer): Uint8Array[] {
  const names: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (bytes[at] ?? 0);
    names.push(bytes.subarray(at + 1, end));
    at = end;
  }
  return names;
}

/** How many of so many names in their order are not behind this one. */
function countUpTo(
  name: Uint8Array,
  count: number,
  nameAt: (index: number) => Uint8Array | undefined,
): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(nameAt(middle) ?? name, name) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
