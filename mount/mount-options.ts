import { GfsError } from '../src/base/errors.ts';
import { parseSpan, SECOND_MS } from '../src/base/units.ts';
import type { AccessTimeRules } from './gfs/counted-reads.ts';
import type { MountFlag } from './mount-point.ts';

/** What `-o` says. */
export interface MountOptions {
  readonly allowOther: boolean;
  readonly defaultPermissions: boolean;
  readonly xattrs: boolean;
  readonly sharedLocks: boolean;
  readonly flags: ReadonlySet<MountFlag>;
  readonly attributeTimeoutMs: number;
  readonly entryTimeoutMs: number;
  readonly ioTimeoutMs: number | undefined;
  readonly source: string | undefined;
  readonly readerCount: number;
}

/** Whether removals are answered when they are on the master's disk. */
export function syncsNamesBy({ flags }: MountOptions): boolean {
  return flags.has('dirSync') || flags.has('synchronous');
}

/** Which reads move times of access. */
export function accessTimesBy({ flags }: MountOptions): AccessTimeRules {
  const ofFiles = !flags.has('readOnly') && !flags.has('noAtime');
  return { ofFiles, ofDirectories: ofFiles && !flags.has('noDirAtime') };
}

/** As fuse's mounts are for everybody: nobody becomes root, or reaches a device, by a file that is here. */
const FLAGS_DEFAULT: readonly MountFlag[] = ['noSetuid', 'noDevices'];
const TIMEOUT_MS_DEFAULT = 1 * SECOND_MS;
/** Two: one may still be taking a write of a mebibyte over while the next small request comes. */
const READER_COUNT_DEFAULT = 2;
const READER_COUNT_MAX = 8;

const FLAG_ON: Readonly<Record<string, MountFlag>> = {
  ro: 'readOnly',
  nosuid: 'noSetuid',
  nodev: 'noDevices',
  noexec: 'noExecute',
  noatime: 'noAtime',
  nodiratime: 'noDirAtime',
  sync: 'synchronous',
  dirsync: 'dirSync',
};
const FLAG_OFF: Readonly<Record<string, MountFlag>> = {
  rw: 'readOnly',
  suid: 'noSetuid',
  dev: 'noDevices',
  exec: 'noExecute',
  atime: 'noAtime',
  diratime: 'noDirAtime',
  async: 'synchronous',
};
/** Said in /etc/fstab to others than us, to mount(8) or to systemd; and that times of access are kept, which `relatime` does. */
const IGNORED = new Set([
  ...['defaults', 'auto', 'noauto', 'user', 'nouser', 'users', 'owner', 'group', '_netdev', 'nofail'],
  ...['relatime', 'norelatime', 'strictatime', 'nostrictatime', 'lazytime', 'nolazytime', 'nonempty'],
]);
const IGNORED_KEYS = new Set(['subtype', 'comment', 'uhelper', 'helper']);

type Settings = { -readonly [K in keyof MountOptions]: MountOptions[K] } & { flags: Set<MountFlag> };

/** Takes options a list at a time, as often as `-o` is given. Throws INVALID_ARGUMENT, naming the key. */
export class MountOptionsParser {
  readonly #settings: Settings = {
    allowOther: false,
    defaultPermissions: true,
    xattrs: true,
    sharedLocks: true,
    flags: new Set(FLAGS_DEFAULT),
    attributeTimeoutMs: TIMEOUT_MS_DEFAULT,
    entryTimeoutMs: TIMEOUT_MS_DEFAULT,
    ioTimeoutMs: undefined,
    source: undefined,
    readerCount: READER_COUNT_DEFAULT,
  };

  get options(): MountOptions {
    return this.#settings;
  }

  add(list: string): this {
    for (const option of list.split(',')) {
      if (option !== '') this.#add(option.trim());
    }
    return this;
  }

  #add(option: string): void {
    const settings = this.#settings;
    const [key = '', value] = splitOnce(option);
    const on = FLAG_ON[option];
    const off = FLAG_OFF[option];
    if (on !== undefined) settings.flags.add(on);
    else if (off !== undefined) settings.flags.delete(off);
    else if (option === 'allow_other') settings.allowOther = true;
    else if (option === 'default_permissions') settings.defaultPermissions = true;
    else if (option === 'no_default_permissions') settings.defaultPermissions = false;
    else if (option === 'xattr' || option === 'noxattr') settings.xattrs = option === 'xattr';
    else if (option === 'lock' || option === 'nolock') settings.sharedLocks = option === 'lock';
    else if (key === 'attr_timeout') settings.attributeTimeoutMs = span(key, value);
    else if (key === 'entry_timeout') settings.entryTimeoutMs = span(key, value);
    else if (key === 'io_timeout') settings.ioTimeoutMs = span(key, value, 1);
    else if (key === 'fsname') settings.source = text(key, value);
    else if (key === 'readers') settings.readerCount = count(key, value, READER_COUNT_MAX);
    else if (!IGNORED.has(option) && !IGNORED_KEYS.has(key) && !/^x-/i.test(key)) {
      throw new GfsError('INVALID_ARGUMENT', `unknown mount option "${key}"`);
    }
  }
}

function splitOnce(option: string): [key: string, value?: string] {
  const at = option.indexOf('=');
  return at < 0 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

function text(key: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new GfsError('INVALID_ARGUMENT', `${key} needs a value`);
  return value;
}

function span(key: string, value: string | undefined, minMs = 0): number {
  let spanMs: number;
  try {
    spanMs = parseSpan(text(key, value));
  } catch (error) {
    throw new GfsError('INVALID_ARGUMENT', `${key}: ${error instanceof Error ? error.message : error}`);
  }
  if (spanMs < minMs) throw new GfsError('INVALID_ARGUMENT', `${key}: "${value}" is too short`);
  return spanMs;
}

function count(key: string, value: string | undefined, max: number): number {
  const number = Number(text(key, value));
  if (!Number.isInteger(number) || number < 1 || number > max) {
    throw new GfsError('INVALID_ARGUMENT', `${key}: "${value}" is not a number from 1 to ${max}`);
  }
  return number;
}
