// What the writers of a chaos run write, so that whoever reads it knows what should be there.
import { createHash } from 'node:crypto';

export const RECORD_BYTES = 1024;
export const RECORD_COUNT = 256;
/** Names of files that a writer makes, one after the other, again and again. */
export const FILE_COUNT = 8;
const FILE_BYTES_MAX = 1_500_000;

/** Line `number` of a writer: lengths differ, so that chunks end at every possible place in one. */
export function lineOf(name: string, number: number): string {
  return `${name} ${number} ${'.'.repeat((number * 37) % 200)}|\n`;
}

/** Each byte of a record follows from its place and counter, so that a mixture of two is recognised. */
export function recordOf(name: string, index: number, counter: number): Buffer {
  return Buffer.alloc(RECORD_BYTES, `${name} ${index} ${counter};`);
}

/** The content of the file that is a writer's `counter`th. */
export function fileOf(name: string, counter: number): Buffer {
  return Buffer.alloc((counter * 271_829) % FILE_BYTES_MAX, `${name} file ${counter};`);
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
