import { inodeId } from '../../src/base/ids.ts';
import type { GfsClient } from '../../src/client/api.ts';
import { OPEN } from '../wire/numbers.ts';

/** Which reads move times of access. */
export interface AccessTimeRules {
  /** Of files and links. */
  readonly ofFiles: boolean;
  readonly ofDirectories: boolean;
}

export const RELATIME: AccessTimeRules = { ofFiles: true, ofDirectories: true };

/** Has the client count what is read, as the mount's options and `O_NOATIME` want it. */
export class CountedReads {
  readonly #client: GfsClient;
  readonly #rules: AccessTimeRules;

  constructor(client: GfsClient, rules: AccessTimeRules) {
    this.#client = client;
    this.#rules = rules;
  }

  /** A file or a link. */
  file(node: number, flags = 0): void {
    if (counts(this.#rules.ofFiles, flags)) this.#client.noteRead(inodeId(node));
  }

  /** True: its time of access has moved. */
  directory(node: number, flags: number): boolean {
    return counts(this.#rules.ofDirectories, flags) && this.#client.noteRead(inodeId(node));
  }

  /** Whether reading the file now would move its time. */
  isFileDue(node: number, flags: number): boolean {
    return counts(this.#rules.ofFiles, flags) && this.#client.wouldMoveAccessTime(inodeId(node));
  }
}

function counts(rule: boolean, flags: number): boolean {
  return rule && (flags & OPEN.NO_ATIME) === 0;
}
