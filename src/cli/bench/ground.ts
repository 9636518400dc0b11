import type { Bytes } from '../../base/bytes.ts';

/** What is done at once is not waited for: a promise for each call of a plain directory would show in its figures. */
export type Maybe<T> = T | Promise<T>;

/** An open file of a client. Offsets are those of the file. */
export interface GroundFile {
  /** Up to `length` bytes; fewer only at its end. Good until the next read. */
  read(fileOffset: number, length: number): Maybe<Bytes>;
  /** `bytes` are borrowed until it is done. */
  write(fileOffset: number, bytes: Buffer): Maybe<void>;
  /** At the end of the file, whole, whoever else appends. */
  append(bytes: Buffer): Maybe<void>;
  sync(): Maybe<void>;
  close(): Maybe<void>;
}

/** How a file is opened: `create`, a new one for writing; `append`, made if need be. */
export type OpenHow = 'create' | 'append' | 'read' | 'write';

/** Where clients work: a directory, or the cluster without a mount. Paths are relative to the directory of this run. */
export interface Ground {
  makeDirectory(path: string): Maybe<void>;
  open(path: string, how: OpenHow): Maybe<GroundFile>;
  /** Its length; undefined: there is none. */
  stat(path: string): Maybe<number | undefined>;
  unlink(path: string): Maybe<void>;
  /** Knows nothing any more of what it knew of files, as far as that is in its hands. */
  forget(): Maybe<void>;
  close(): Maybe<void>;
}
