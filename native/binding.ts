import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { GfsError } from '../src/base/errors.ts';

/** What the addon exports, written by hand: native/*.cc keep to it. Arguments are checked by the callers of this folder. */
export interface Binding {
  flock(fd: number): boolean;
  preadNowait(fd: number, into: Uint8Array, position: number): number;
  punchHole(fd: number, start: number, length: number): Promise<void>;

  openDevice(
    fd: number,
    readerCount: number,
    bufferCount: number,
    bufferSizeBytes: number,
    outSizeBytes: number,
    settledCount: number,
    table: Uint32Array,
    onWake: (count: number, ended: boolean, errno: number, ...written: number[]) => void,
  ): { readonly handle: DeviceHandle; readonly memory: ArrayBuffer };
  releaseBuffer(device: DeviceHandle, index: number): void;
  ready(device: DeviceHandle, node: number, attributes: Uint8Array, milliseconds: number): void;
  unready(device: DeviceHandle, node: number): void;
  bare(device: DeviceHandle, node: number, milliseconds: number): void;
  unbare(device: DeviceHandle, node: number): void;
  answerCounts(device: DeviceHandle): { readonly attributes: number; readonly xattrs: number };
  reply(
    device: DeviceHandle,
    reader: number,
    outLength: number,
    parts: readonly Uint8Array[] | undefined,
  ): number;
  notify(device: DeviceHandle, lane: number, message: Uint8Array): boolean;

  mount(source: string, target: string, type: string, flags: number, data: string): Promise<void>;
  unmount(target: string, lazily: boolean): Promise<void>;
  socketPair(): [ours: number, theirs: number];
  receiveDescriptor(socket: number): number;
}

/** Opaque: the addon's own. */
export interface DeviceHandle {
  readonly __brand: 'DeviceHandle';
}

let loaded: Binding | undefined;

/** Loads the addon at first use, so that a program that needs nothing native runs without it. */
export function binding(): Binding {
  loaded ??= load();
  return loaded;
}

function load(): Binding {
  const path = join(packageRoot(), 'dist/native/gfs.node');
  if (!existsSync(path)) {
    throw new GfsError('NOT_FOUND', `the native addon is not built (${path}): run npm run build`);
  }
  return createRequire(import.meta.url)(path) as Binding;
}

/** The addon lies in dist/, this file in native/ or dist/native/: both are found from the package's root. */
function packageRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new GfsError('NOT_FOUND', `no package.json above ${import.meta.dirname}`);
    directory = parent;
  }
  return directory;
}
