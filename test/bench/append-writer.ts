// A thread of the append benchmark: opens its file, waits for the start, appends.
import { closeSync, openSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

interface Work {
  readonly path: string;
  readonly writer: number;
  readonly each: number;
  readonly recordBytes: number;
  readonly go: Int32Array;
}

const { path, writer, each, recordBytes, go } = workerData as Work;
const file = openSync(path, 'a');
parentPort?.postMessage('ready');
Atomics.wait(go, 0, 0);
for (let record = 0; record < each; record += 1) {
  const line = `${writer} ${record} `.padEnd(recordBytes - 1, '.');
  writeSync(file, `${line}\n`);
}
closeSync(file);
