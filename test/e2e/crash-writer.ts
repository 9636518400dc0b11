// Writes to a mount until it is killed, and notes in a manifest outside of it only what fsync returned for:
//   file NAME SHA256       a new file, synced together with its directory
//   record INDEX COUNTER   one 4 KiB record of `records`, overwritten in place
// Usage: crash-writer MOUNT MANIFEST SEED
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const RECORD_BYTES = 4096;
export const RECORD_COUNT = 64;

/** Every byte of the record follows from its index and counter, so that a mixture of two is recognised. */
export function record(index: number, counter: number): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  for (let at = 0; at < RECORD_BYTES; at += 8) {
    bytes.writeUInt32LE(index, at);
    bytes.writeUInt32LE(counter, at + 4);
  }
  return bytes;
}

/** Bytes of a length and content that follow from the seed. */
export function content(seed: number): Buffer {
  let state = seed * 2654435761 + 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  const bytes = Buffer.alloc(next() % 300_000);
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(next(), at);
  return bytes;
}

function main(mount: string, manifest: string, seed: number): void {
  const directory = join(mount, `files-${seed}`);
  mkdirSync(directory, { recursive: true });
  syncPath(mount);
  const records = openSync(join(mount, 'records'), 'r+');
  for (let step = 1; ; step += 1) {
    const name = `file-${step}`;
    const bytes = content(seed * 100_000 + step);
    const file = openSync(join(directory, name), 'wx');
    for (let at = 0; at < bytes.length; at += 100_000)
      writeSync(file, bytes, at, Math.min(100_000, bytes.length - at));
    fsyncSync(file);
    closeSync(file);
    syncPath(directory);
    appendFileSync(
      manifest,
      `file files-${seed}/${name} ${createHash('sha256').update(bytes).digest('hex')}\n`,
    );

    const counter = seed * 100_000 + step;
    const touched = Array.from({ length: 5 }, (_, n) => (step * 7 + n * 13) % RECORD_COUNT);
    for (const index of touched)
      writeSync(records, record(index, counter), 0, RECORD_BYTES, index * RECORD_BYTES);
    fsyncSync(records);
    appendFileSync(manifest, touched.map((index) => `record ${index} ${counter}\n`).join(''));
  }
}

function syncPath(path: string): void {
  const directory = openSync(path, 'r');
  fsyncSync(directory);
  closeSync(directory);
}

if (process.argv[1] === import.meta.filename) {
  const [, , mount = '', manifest = '', seed = ''] = process.argv;
  main(mount, manifest, Number(seed));
}
