import { constants } from 'node:fs';
import { KiB } from '../../src/base/units.ts';
import type { Random } from '../sim/random.ts';

export const CHUNK_BYTES = 256 * KiB;
/** Slots for open files that a user's calls choose from. */
const SLOT_COUNT = 4;
/** Few, so that most paths lead to something. Directories are made at names of their own, but for a few. */
const DIRECTORIES = ['A', 'B', 'C'] as const;
const FILES = ['a', 'b', 'c', 'd'] as const;
const STRANGE_CHANCE = 0.15;
const ODD_NAMES = [
  ...['.', '..', '', 'f%20g', '%e9', '%ff%fe', '-', '*', '%0a', '%7c'],
  ...['n'.repeat(255), 'm'.repeat(256), '%c3%a9'.repeat(127)],
];
const MODES = [0o755, 0o644, 0o777, 0o666, 0o700, 0o600, 0o1777, 0o4755, 0o6777, 0o2711, 0o500, 0o111, 0];
const DIRECTORY_MODES = [0o777, 0o777, 0o755, 0o1777, 0o2777, 0o2755, 0o3777, 0o700, 0o500];
const OWNERS = [-1, 0, 1000, 1001];
const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
/** What lengths and offsets come close to. */
const UNITS = [1, 4 * KiB, 64 * KiB, CHUNK_BYTES] as const;
const DATA_FILES = ['f', 'g'] as const;

/** What the arguments of calls are chosen from; texts are percent-encoded, as calls.cc takes them. */
export class Choices {
  /** Whose call is chosen. */
  user = 0;
  readonly #random: Random;
  /** About how long the files of the data runs are. */
  readonly #ends = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** By weight. */
  weighted<T extends { readonly weight: number }>(choices: readonly T[]): T {
    let at = this.#random.next() * choices.reduce((sum, { weight }) => sum + weight, 0);
    for (const choice of choices) {
      at -= choice.weight;
      if (at < 0) return choice;
    }
    return this.#random.pick(choices);
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  pick<T>(choices: readonly T[]): T {
    return this.#random.pick(choices);
  }

  /** Everybody uses files that he opened himself: a write is committed in the name of who opened, set-id bits and all. */
  slot(): number {
    return (this.user % 3) * SLOT_COUNT + this.below(SLOT_COUNT);
  }

  /** 1 to 255: what is written, see `pattern` in calls.cc. */
  tag(): number {
    return 1 + this.below(255);
  }

  /** Of anything. */
  path(): string {
    return this.#path(this.chance(0.3) ? DIRECTORIES : FILES);
  }

  directory(): string {
    return this.#path(DIRECTORIES);
  }

  /** Two of a kind. */
  paths(): [from: string, to: string] {
    const names = this.chance(0.3) ? DIRECTORIES : FILES;
    return [this.#path(names), this.#path(names)];
  }

  #path(names: readonly string[]): string {
    const depth = this.weighted([
      { weight: 4, depth: 1 },
      { weight: 4, depth: 2 },
      { weight: 2, depth: 3 },
    ]).depth;
    const way = Array.from({ length: depth }, (_, index) => {
      const usual = index === depth - 1 ? names : DIRECTORIES;
      return this.pick(this.chance(STRANGE_CHANCE) ? [...DIRECTORIES, ...FILES] : usual);
    });
    if (this.chance(0.03)) way[depth - 1] = this.pick(ODD_NAMES);
    if (this.chance(0.01)) way.splice(this.below(depth), 0, this.pick(['.', '..']));
    const path = `${this.chance(0.02) ? '/' : ''}${way.join('/')}${this.chance(0.02) ? '/' : ''}`;
    return path === '' ? '%' : path;
  }

  /** What a symbolic link holds. */
  target(): string {
    if (this.chance(0.1)) return 'l'.repeat(this.pick([4094, 4095, 1000]));
    return this.chance(0.3) ? `../${this.path()}` : this.path();
  }

  mode(): number {
    return this.chance(0.1) ? this.below(0o10000) : this.pick(MODES);
  }

  /** Calls as somebody else need a way: most directories should let everybody in. */
  directoryMode(): number {
    return this.pick(DIRECTORY_MODES);
  }

  owner(): number {
    return this.pick(OWNERS);
  }

  openFlags(): number {
    let flags = this.pick([O_RDONLY, O_WRONLY, O_RDWR, O_RDWR]);
    for (const flag of [O_APPEND, O_EXCL, O_TRUNC, O_NOFOLLOW]) if (this.chance(0.15)) flags |= flag;
    if (this.chance(0.05)) flags |= O_DIRECTORY;
    else if (this.chance(0.6)) flags |= O_CREAT;
    return flags;
  }

  /** Of utimensat. */
  time(): string {
    const seconds = [-1_000_000_000, 0, 1, 1_000_000_000, 4_000_000_000];
    return this.chance(0.4) ? this.pick(['now', 'omit']) : String(this.pick(seconds));
  }

  /** Of a small file. */
  smallOffset(): number {
    return this.pick([0, 0, 1, 100, 4095, 4096, 5000, 70_000]);
  }

  smallLength(): number {
    return this.pick([0, 1, 10, 100, 4096, 5000, 66_000]);
  }

  /** A file of the data runs. */
  file(): string {
    return this.pick(DATA_FILES);
  }

  /** A slot, and the file of the data runs that is always the one opened there. */
  opened(): { slot: number; file: string } {
    const slot = this.slot();
    return { slot, file: DATA_FILES[slot % DATA_FILES.length] ?? DATA_FILES[0] };
  }

  /** Near to where something begins or ends: the file, a chunk, a block, a page. */
  offset(file: string): number {
    const end = this.#ends.get(file) ?? 0;
    const around = this.chance(0.3) ? end : this.below(6) * this.pick(UNITS) + this.below(4) * CHUNK_BYTES;
    return Math.max(0, around + this.#nudge());
  }

  /** Some bytes, or a page, a block, a chunk, or nearly so. */
  length(): number {
    const unit = this.pick(UNITS);
    const length = this.chance(0.3) ? this.below(unit * 2) : unit + this.#nudge();
    return Math.max(0, length);
  }

  /** Of several chunks, or nearly so. */
  longLength(): number {
    return (4 + this.below(3)) * CHUNK_BYTES + this.#nudge();
  }

  /** Notes that a file now ends there, or behind it. */
  reached(file: string, end: number): void {
    this.#ends.set(file, Math.max(end, this.#ends.get(file) ?? 0));
  }

  ended(file: string, end: number): void {
    this.#ends.set(file, end);
  }

  end(file: string): number {
    return this.#ends.get(file) ?? 0;
  }

  #nudge(): number {
    return this.chance(0.4) ? 0 : this.pick([-4097, -512, -100, -2, -1, 1, 2, 100, 512, 4097]);
  }
}
