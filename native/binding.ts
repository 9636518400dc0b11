import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { GfsError, messageOf } from '../src/base/errors.ts';

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
  const root = packageRoot();
  const path = join(root, 'dist/native/gfs.node');
  if (!existsSync(path)) throw unusable(root, `there is no ${path}`);
  try {
    return createRequire(import.meta.url)(path) as Binding;
  } catch (error) {
    throw unusable(root, messageOf(error).split('\n', 1)[0] ?? '', error);
  }
}

/** A package may lie on another kind of machine than it was packed on, without a compiler when it was installed. */
function unusable(root: string, why: string, cause?: unknown): GfsError {
  const isCheckout = existsSync(join(root, 'src/index.ts'));
  const remedy = isCheckout ? '"npm run build"' : `"node ${join(root, 'src/tools/native.mjs')}"`;
  const text =
    `this needs the native addon, which is not built for ${process.platform}-${process.arch} (${why}): ` +
    `install a C++ compiler (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), then run ${remedy}`;
  return new GfsError('UNAVAILABLE', text, { cause });
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
