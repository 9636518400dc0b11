import { type Bytes, slice } from '../../base/bytes.ts';
import { GfsError } from '../../base/errors.ts';
import { formatSize } from '../../base/units.ts';

const LINE_END = 0x0a;

/** Makes records of pieces of text: each has whole lines, as many as came together and fit. */
export class LineRecords {
  readonly #bytesMax: number;
  #begun: Buffer[] = [];
  #begunBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that end in this piece, which is kept if it has the start of another one. */
  *take(piece: Buffer): Generator<Bytes> {
    const end = piece.lastIndexOf(LINE_END) + 1;
    if (end > 0) {
      const lines = piece.subarray(0, end);
      const firstEnd = this.#begunBytes + lines.indexOf(LINE_END) + 1;
      this.#check(firstEnd);
      yield* this.#cut([...this.#begun, lines], this.#begunBytes + end);
      this.#begun = [];
      this.#begunBytes = 0;
    }
    if (end === piece.length) return;
    this.#begun.push(piece.subarray(end));
    this.#begunBytes += piece.length - end;
    this.#check(this.#begunBytes);
  }

  /** The last line, which nothing ended. */
  *rest(): Generator<Bytes> {
    if (this.#begunBytes > 0) yield this.#begun;
  }

  /** In records that end where lines end. */
  *#cut(bytes: Bytes, length: number): Generator<Bytes> {
    for (let start = 0; start < length; ) {
      const room = slice(bytes, start, Math.min(length, start + this.#bytesMax));
      const end = start + this.#bytesMax >= length ? length : start + endOfLastLine(room);
      this.#check(end > start ? 0 : this.#bytesMax + 1);
      yield slice(bytes, start, end);
      start = end;
    }
  }

  #check(lineBytes: number): void {
    if (lineBytes <= this.#bytesMax) return;
    throw new GfsError('INVALID_ARGUMENT', `a line has up to ${formatSize(this.#bytesMax)} here`);
  }
}

function endOfLastLine(bytes: Bytes): number {
  return Buffer.concat(bytes).lastIndexOf(LINE_END) + 1;
}
