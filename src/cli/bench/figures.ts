import { KiB, MiB } from '../../base/units.ts';

/** Of sequential reads and writes: what one call takes. */
export const SEQUENTIAL_BYTES = MiB;
/** Of random reads and writes, of a record, and of a small file. */
export const SMALL_BYTES = 4 * KiB;

/** A figure's name, as a person names it. */
export type FigureName =
  | 'write'
  | 'read'
  | 'randwrite'
  | 'randread'
  | 'append'
  | 'create'
  | 'stat'
  | 'open'
  | 'remove';

export interface Figure {
  readonly name: FigureName;
  /** One line, for `--list`, the chart and programs. */
  readonly description: string;
  readonly unit: 'MB/s' | 'ops/s';
  /** File data that an operation moves; 0: it is about a name. */
  readonly operationBytes: number;
  /** Which way they go through a network: written bytes go to each copy. */
  readonly direction: 'read' | 'written' | undefined;
  /** What it reads has to come from the servers, or the disk. */
  readonly cold: boolean;
}

const DATA = { operationBytes: SMALL_BYTES, unit: 'ops/s' } as const;
const NAME = { operationBytes: 0, unit: 'ops/s', direction: undefined } as const;
const STREAM = { operationBytes: SEQUENTIAL_BYTES, unit: 'MB/s' } as const;
const WRITTEN = { direction: 'written', cold: false } as const;
const READ = { direction: 'read', cold: true } as const;

/** In the order in which they are measured. */
export const FIGURES: readonly Figure[] = [
  { name: 'write', description: 'new file each, 1 MiB writes, fsync', ...STREAM, ...WRITTEN },
  { name: 'read', description: 'file each, 1 MiB reads in order', ...STREAM, ...READ },
  { name: 'randwrite', description: 'file each, 4 KiB at random places, fsync', ...DATA, ...WRITTEN },
  { name: 'randread', description: 'file each, 4 KiB at random places, each once', ...DATA, ...READ },
  { name: 'append', description: 'one file for all, records of 4 KiB', ...DATA, ...WRITTEN },
  { name: 'create', description: 'small files: create, write 4 KiB, close', ...NAME, cold: false },
  { name: 'stat', description: 'small files: stat', ...NAME, cold: true },
  { name: 'open', description: 'small files: open, read 4 KiB, close', ...NAME, cold: true },
  { name: 'remove', description: 'small files: unlink', ...NAME, cold: false },
];

export function figureOf(name: FigureName): Figure {
  const found = FIGURES.find((figure) => figure.name === name);
  if (found === undefined) throw new Error(`there is no figure ${name}`);
  return found;
}
