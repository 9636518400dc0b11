/** File data as a list of buffers that are never joined on the way. */
export type Bytes = readonly Uint8Array[];

export const NO_BYTES: Bytes = [];

/** For a message's payload field when the payload travels beside the message, or there is none. */
export const NO_PAYLOAD: Buffer = Buffer.alloc(0);

export function lengthOf(bytes: Bytes): number {
  let length = 0;
  for (const buffer of bytes) length += buffer.length;
  return length;
}

/** One buffer with all of it; copies only when there is more than one. */
export function joined(bytes: Bytes): Uint8Array {
  const first = bytes[0];
  if (first === undefined) return new Uint8Array(0);
  return bytes.length === 1 ? first : Buffer.concat(bytes);
}

/** The part [start, end) as views; nothing is copied. */
export function slice(bytes: Bytes, start: number, end: number): Bytes {
  const result: Uint8Array[] = [];
  let position = 0;
  for (const buffer of bytes) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, buffer.length);
    if (from < to) result.push(buffer.subarray(from, to));
    position += buffer.length;
    if (position >= end) break;
  }
  return result;
}
