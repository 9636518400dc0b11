import { OPEN } from '../wire/numbers.ts';
import type { PathContext } from './path-namespace.ts';

/** libfuse takes its buffer back as soon as a write is answered. */
const BORROWED = { keep: () => undefined };
/** The package does not say who closes; nor does anybody lock by it. */
const NOBODY = '0';

/** Open files. What is asked of one goes by its number, not by the path, which may mean another file by now. */
export class PathFiles {
  readonly #context: PathContext;

  constructor(context: PathContext) {
    this.#context = context;
  }

  async open(path: string, flags: number): Promise<number> {
    const { fileSystem, caller, walker, handles, fresh } = this.#context;
    return walker.at(path, async (node) => {
      // Made for this: it is empty, and the kernel knows what the flags allow.
      const made = fresh.take(node);
      if (made !== undefined) return handles.add({ node, openFile: made, flags });
      const { openFile } = await fileSystem.open({ kind: 'open', node, flags }, caller);
      return handles.add({ node, openFile, flags });
    });
  }

  async read(number: number, into: Buffer, offset: number): Promise<number> {
    const { node, openFile, flags } = this.#context.handles.get(number);
    const size = into.length;
    const read = { kind: 'read', node, openFile, offset, size, flags } as const;
    const parts = await this.#context.fileSystem.read(read);
    let end = 0;
    for (const part of parts) {
      into.set(part.subarray(0, size - end), end);
      end += Math.min(part.length, size - end);
    }
    return end;
  }

  write(number: number, data: Buffer, offset: number): Promise<number> {
    const { node, openFile, flags } = this.#context.handles.get(number);
    const dropsSetIds = true;
    const operation = { kind: 'write', node, openFile, offset, flags, dropsSetIds, data } as const;
    return this.#context.fileSystem.write(operation, BORROWED);
  }

  async flush(number: number): Promise<void> {
    const { node, openFile } = this.#context.handles.get(number);
    await this.#context.fileSystem.flush({ kind: 'flush', node, openFile, lockOwner: NOBODY });
  }

  async sync(number: number, dataOnly: boolean): Promise<void> {
    const { node, openFile } = this.#context.handles.get(number);
    await this.#context.fileSystem.sync({ kind: 'sync', node, openFile, dataOnly });
  }

  async release(number: number): Promise<void> {
    const { fileSystem, walker, handles } = this.#context;
    const { node, openFile } = handles.remove(number);
    if (handles.of(node) === undefined) {
      walker.hidden.closed(node);
      fileSystem.forgotten(node);
    }
    await fileSystem.release({ kind: 'release', node, openFile });
  }
}

/** Flags of open(2) as the kernel driver knows them, those of Linux, from those of this platform. */
export function linuxFlags(flags: number, platform: PlatformFlags): number {
  const { O_APPEND, O_TRUNC } = platform;
  return (
    (flags & OPEN.ACCESS_MODE) | (flags & O_APPEND ? OPEN.APPEND : 0) | (flags & O_TRUNC ? OPEN.TRUNCATE : 0)
  );
}

type PlatformFlags = Readonly<Record<'O_APPEND' | 'O_TRUNC', number>>;
