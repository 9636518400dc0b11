import { closeSync, openSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { MOUNT_FLAGS, mount, unmount } from '../native/index.ts';
import { GfsError, messageOf } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';
import { detachDeadMount } from './dead-mount.ts';
import { mountWithFusermount, unmountWithFusermount } from './fusermount.ts';
import { type MountTableEntry, topmostMount } from './mount-table.ts';

const DEVICE = '/dev/fuse';
const TYPE = 'fuse.gfs';
/** A directory: the kernel wants to know before it can ask. */
const ROOT_MODE = '40000';

export type MountFlag = keyof typeof MOUNT_FLAGS;

export interface MountPointOptions {
  /** An absolute path. */
  readonly path: string;
  /** What the mount table shows as the device. */
  readonly source: string;
  readonly allowOther: boolean;
  readonly defaultPermissions: boolean;
  readonly flags: ReadonlySet<MountFlag>;
  readonly log: Logger;
}

/** A place in the tree where the kernel asks us. */
export class MountPoint {
  readonly path: string;
  /** The mounted /dev/fuse; whoever serves it closes it. */
  readonly fd: number;
  readonly #log: Logger;
  readonly #entry: MountTableEntry;
  #unmounted = false;

  private constructor(path: string, fd: number, log: Logger, entry: MountTableEntry) {
    this.path = path;
    this.fd = fd;
    this.#log = log;
    this.#entry = entry;
  }

  /** Mounts. A dead mount that is in the way (its process is gone) is detached first. */
  static async create(options: MountPointOptions): Promise<MountPoint> {
    const { path, log } = options;
    await detachDeadMount(path, detach, log);
    const directory = await stat(path).catch((error: unknown) => {
      throw new GfsError('NOT_FOUND', `cannot mount at ${path}: ${messageOf(error)}`);
    });
    if (!directory.isDirectory()) {
      throw new GfsError('NOT_DIRECTORY', `cannot mount at ${path}: not a directory`);
    }
    const fd = isRoot() ? await mountAsRoot(options) : await mountWithFusermount(path, textOptions(options));
    const entry = await topmostMount(path);
    if (entry === undefined) {
      closeSync(fd);
      throw new GfsError('IO_ERROR', `mounted at ${path}, but the mount table does not show it`);
    }
    return new MountPoint(path, fd, log, entry);
  }

  /** The device's number as "major:minor". */
  get device(): string {
    return this.#entry.device;
  }

  /** The kernel reads ahead 128 KiB unless told otherwise: too little to keep several chunkservers busy. Best effort. */
  async raiseReadahead(readaheadKiB: number): Promise<void> {
    try {
      await writeFile(`/sys/class/bdi/${this.device}/read_ahead_kb`, String(readaheadKiB));
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'the kernel reads ahead no further than it did');
    }
  }

  /** Takes it out of the tree; lazily while files are open there: they work until the process ends. Safe to call twice. */
  async unmount(): Promise<void> {
    if (this.#unmounted) return;
    this.#unmounted = true;
    // Somebody unmounted ours before, or mounted another one on top: that is not ours to take away.
    if ((await topmostMount(this.path))?.device !== this.device) return;
    if (!isRoot()) return unmountWithFusermount(this.path);
    try {
      await unmount(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      this.#log.info({ path: this.path }, 'files are open there: detached, and gone when this process ends');
      await unmount(this.path, { lazily: true });
    }
  }
}

async function mountAsRoot({ path, source, flags, ...options }: MountPointOptions): Promise<number> {
  const fd = openDevice();
  const data = [
    `fd=${fd}`,
    `rootmode=${ROOT_MODE}`,
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.defaultPermissions ? ['default_permissions'] : []),
  ].join(',');
  let bits = 0;
  for (const flag of flags) bits |= MOUNT_FLAGS[flag];
  try {
    await mount({ source, target: path, type: TYPE, flags: bits, data });
  } catch (error) {
    closeSync(fd);
    throw new GfsError('NOT_PERMITTED', `cannot mount at ${path}: ${messageOf(error)}`, { cause: error });
  }
  return fd;
}

function openDevice(): number {
  try {
    return openSync(DEVICE, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new GfsError('UNAVAILABLE', `${DEVICE} is missing: load the kernel module with "modprobe fuse"`);
    }
    throw new GfsError('UNAVAILABLE', `cannot open ${DEVICE}: ${messageOf(error)}`, { cause: error });
  }
}

/** As fusermount3, mount(8) and libfuse read them. */
export function textOptions({ source, flags, ...options }: Omit<MountPointOptions, 'path' | 'log'>): string {
  const escaped = source.replace(/[\\,]/g, '\\$&');
  const names: Readonly<Record<MountFlag, string>> = {
    readOnly: 'ro',
    noSetuid: 'nosuid',
    noDevices: 'nodev',
    noExecute: 'noexec',
    synchronous: 'sync',
    dirSync: 'dirsync',
    noAtime: 'noatime',
    noDirAtime: 'nodiratime',
  };
  return [
    `fsname=${escaped}`,
    'subtype=gfs',
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.defaultPermissions ? ['default_permissions'] : []),
    ...[...flags].map((flag) => names[flag]),
  ].join(',');
}

async function detach(path: string): Promise<void> {
  if (isRoot()) await unmount(path, { lazily: true });
  else await unmountWithFusermount(path);
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
