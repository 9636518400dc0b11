import { stat } from 'node:fs/promises';
import { must } from '../../src/base/assert.ts';
import type { Env } from '../../src/base/env.ts';
import { GfsError, messageOf } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import { detachDeadMount } from '../dead-mount.ts';
import type { MountOptions } from '../mount-options.ts';
import { textOptions } from '../mount-point.ts';
import { UTIMENS, withBothTimes } from './mended-times.ts';
import { mendXattrs } from './mended-xattrs.ts';
import { deviceAt, isMountedAt, unmountByCommand } from './mounted-here.ts';
import { type FuseNative, loadFuseNative, type NativeMount } from './package.ts';
import type { NativeServer } from './server.ts';

/** The package does not say when somebody else unmounted. */
const LOOK_MS = 1 * SECOND_MS;
/** Reads that the kernel sends ahead. libfuse ends threads beyond ten, and the binding forgets none that there ever was. */
const BACKGROUND_COUNT_MAX = 8;
/** The binding's buffers for the path and for the options. */
const TEXT_BYTES_MAX = 1023;

export interface LibfuseMountOptions {
  readonly env: Env;
  /** An absolute path. */
  readonly path: string;
  /** What the mount table shows as the device. */
  readonly source: string;
  readonly options: Pick<
    MountOptions,
    'defaultPermissions' | 'flags' | 'attributeTimeoutMs' | 'entryTimeoutMs'
  >;
  readonly server: NativeServer;
  readonly log: Logger;
}

export interface LibfuseMount {
  /** Somebody unmounted it. */
  readonly ended: Promise<void>;
  /** Safe to call twice. */
  unmount(): Promise<void>;
}

/** Has libfuse mount, and ask the server. A dead mount that is in the way is detached first. */
export async function mountByLibfuse(mount: LibfuseMountOptions): Promise<LibfuseMount> {
  const { path, env } = mount;
  const fuse = libfuseMount(mount, loadFuseNative());
  await detachDeadMount(path, unmountByCommand, mount.log);
  await checkMountPoint(path);
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => (error ? reject(refusal(path, error)) : resolve()));
  });
  const device = await deviceAt(path);
  if (device === undefined) throw new GfsError('UNAVAILABLE', `unmounted from ${path} as soon as it served`);
  const watch = async () => {
    while (await isMountedAt(path, device)) await env.sleep(LOOK_MS);
  };
  let unmounting: Promise<void> | undefined;
  const unmount = async () => {
    // Another one may lie on top, which is not ours to take away.
    if ((await deviceAt(path)) === device) await unmountByCommand(path);
  };
  return {
    ended: watch(),
    unmount: () => {
      unmounting ??= unmount();
      return unmounting;
    },
  };
}

function libfuseMount(mount: LibfuseMountOptions, Fuse: FuseNative): NativeMount {
  const options = libfuseOptions(mount);
  for (const text of [mount.path, options]) {
    if (Buffer.byteLength(text) <= TEXT_BYTES_MAX) continue;
    throw new GfsError(
      'NAME_TOO_LONG',
      `cannot mount at ${mount.path}: fuse-native takes no text as long as ${text}`,
    );
  }
  const fuse = new Fuse(mount.path, mount.server.operations, { timeout: false });
  fuse._fuseOptions = () => `-o${options}`;
  const utimens = must(fuse._handlers[UTIMENS], 'the package numbers its operations so');
  fuse._handlers[UTIMENS] = withBothTimes(utimens);
  mendXattrs(fuse, mount.server.operations);
  return fuse;
}

async function checkMountPoint(path: string): Promise<void> {
  const directory = await stat(path).catch((error: unknown) => {
    throw new GfsError('NOT_FOUND', `cannot mount at ${path}: ${messageOf(error)}`);
  });
  if (!directory.isDirectory())
    throw new GfsError('NOT_DIRECTORY', `cannot mount at ${path}: not a directory`);
}

/** libfuse says why on standard error; the package has two answers. */
function refusal(path: string, error: Error): GfsError {
  const why =
    error.message === 'Mountpoint in use'
      ? 'something is mounted there, and --driver fuse-native goes on top of nothing'
      : `libfuse refused (${error.message}); in front (-f) it says why`;
  return new GfsError('NOT_PERMITTED', `cannot mount at ${path}: ${why}`, { cause: error });
}

function libfuseOptions({ source, options }: LibfuseMountOptions): string {
  const { defaultPermissions, attributeTimeoutMs, entryTimeoutMs } = options;
  // libfuse does not know "nodiratime"; who reads directories is counted by us.
  const flags = new Set([...options.flags].filter((flag) => flag !== 'noDirAtime'));
  return [
    textOptions({ source, allowOther: false, defaultPermissions, flags }),
    // Inode numbers are ours; 128 KiB at a time rather than 4; a mount point need not be empty.
    ...['use_ino', 'big_writes', 'atomic_o_trunc', 'nonempty'],
    `max_background=${BACKGROUND_COUNT_MAX}`,
    `attr_timeout=${attributeTimeoutMs / 1000}`,
    `entry_timeout=${entryTimeoutMs / 1000}`,
  ].join(',');
}
