import { GfsError } from '../../src/base/errors.ts';
import { ERANGE, ErrnoError } from '../errno.ts';
import { XATTR_CREATE, XATTR_REPLACE } from '../wire/numbers.ts';
import type { PathContext } from './path-namespace.ts';
import { checkedText } from './path-walker.ts';

/** Extended attributes, asked for by path. */
export class PathXattrs {
  readonly #context: PathContext;

  constructor(context: PathContext) {
    this.#context = context;
  }

  /** How long the value is. It is put where there is room for it; without any, only that is asked. */
  async get(path: string, text: string, into: Buffer): Promise<number> {
    const { fileSystem, caller, walker } = this.#context;
    const name = Buffer.from(checkedText(text));
    return walker.at(path, async (node) => {
      const operation = { kind: 'getXattr', node, name, size: into.length } as const;
      const absence = fileSystem.absentXattr(operation);
      if (absence !== undefined) throw new ErrnoError(absence, 'no such attribute');
      return put(await fileSystem.getXattr(operation, caller), into);
    });
  }

  /** As `get`, of all names with a zero behind each. */
  async list(path: string, into: Buffer): Promise<number> {
    const { fileSystem, caller, walker } = this.#context;
    return walker.at(path, async (node) =>
      put(await fileSystem.listXattrs({ kind: 'listXattrs', node, size: into.length }, caller), into),
    );
  }

  async set(path: string, text: string, borrowed: Buffer, position: number, flags: number): Promise<void> {
    if (position !== 0) throw new GfsError('INVALID_ARGUMENT', 'an attribute is set as a whole');
    const { fileSystem, caller, walker } = this.#context;
    const name = Buffer.from(checkedText(text));
    // It is libfuse's.
    const value = Buffer.from(borrowed);
    await walker.at(path, (node) =>
      fileSystem.setXattr({ kind: 'setXattr', node, name, value, flags: linuxXattrFlags(flags) }, caller),
    );
  }

  async remove(path: string, text: string): Promise<void> {
    const { fileSystem, caller, walker } = this.#context;
    const name = Buffer.from(checkedText(text));
    await walker.at(path, (node) => fileSystem.removeXattr({ kind: 'removeXattr', node, name }, caller));
  }
}

function put(value: Uint8Array, into: Buffer): number {
  if (into.length === 0) return value.length;
  if (value.length > into.length) {
    throw new ErrnoError(ERANGE, `${value.length} bytes do not fit into ${into.length}`);
  }
  into.set(value);
  return value.length;
}

/** The same flags have other numbers on macOS. */
export function linuxXattrFlags(flags: number, platform: string = process.platform): number {
  if (platform !== 'darwin') return flags;
  return (flags & 2 ? XATTR_CREATE : 0) | (flags & 4 ? XATTR_REPLACE : 0);
}
