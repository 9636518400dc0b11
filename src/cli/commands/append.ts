import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Bytes, lengthOf } from '../../base/bytes.ts';
import { GfsError } from '../../base/errors.ts';
import { inodeId } from '../../base/ids.ts';
import { formatSize, MiB } from '../../base/units.ts';
import type { GfsFile } from '../../client/api.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { LineRecords } from '../files/line-records.ts';
import { named } from '../files/named-error.ts';
import { clusterPath, filePlace } from '../files/places.ts';
import { standardInput } from '../files/standard-streams.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';
import { STANDARD_STREAM } from './put.ts';

interface Keys extends CommonKeys {
  readonly whole?: boolean;
}

const NEW_FILE_MODE = 0o666;
/** A record takes a quarter of a chunk at most. */
const RECORDS_IN_CHUNK = 4;
/** Records that wait for their answers. */
const WAITING_BYTES_MAX = 8 * MiB;

export function addAppend(gfs: Command): void {
  const command = gfs
    .command('append')
    .argument('<path>', 'a file in the cluster; it is made if it is not there')
    .argument('[local]', 'what is appended; "-" is standard input', STANDARD_STREAM)
    .summary('append lines to a file')
    .description(
      'append lines to a file, as they come: each is there whole, once and in its order, however many others append, and the machines that fail',
    )
    .option('-w, --whole', 'all of it is one record, as long as a quarter of a chunk (16 MiB) at most');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: journalctl -f | gfs append /logs/web.log');
  command.action(async (argument: string, local: string, keys: Keys) => {
    const path = clusterPath(argument);
    await withFiles(keys, 'gfs append', async (files) => {
      const input = local === STANDARD_STREAM ? standardInput(files.signal) : fileInput(exactBytes(local));
      const file = await openForAppend(files, path);
      const recordBytesMax = Math.floor(files.client.chunkSizeBytes / RECORDS_IN_CHUNK);
      try {
        if (keys.whole) await appendWhole(files, file, input, recordBytesMax);
        else await appendLines(files, file, input, recordBytesMax);
        await file.close(files.call);
      } catch (error) {
        throw named(path, error);
      }
    });
  });
}

async function openForAppend(files: Files, path: Buffer): Promise<GfsFile> {
  const { client, call } = files;
  const { place, existing } = await filePlace(files, path);
  try {
    if (existing !== undefined) {
      return (await client.open(inodeId(existing.inode), { append: true }, call)).file;
    }
    const how = { append: true, mode: NEW_FILE_MODE, umask: process.umask() };
    return (await client.create(place.parent, place.name, how, call)).file;
  } catch (error) {
    throw named(path, error);
  }
}

async function* fileInput(path: Buffer): AsyncGenerator<Buffer> {
  try {
    const handle = await open(path, 'r');
    for await (const piece of handle.createReadStream()) yield piece as Buffer;
  } catch (error) {
    throw named(path, error);
  }
}

/** Lines that came together go as one record, as large as it may be: none is torn, and none of another's comes between. */
async function appendLines(
  { call, signal }: Files,
  file: GfsFile,
  input: AsyncIterable<Buffer>,
  recordBytesMax: number,
): Promise<void> {
  const records = new LineRecords(recordBytesMax);
  const waiting: Promise<number>[] = [];
  let waitingBytes = 0;
  const append = async (record: Bytes) => {
    const length = lengthOf(record);
    waitingBytes += length;
    const appended = file.append(record, call).finally(() => {
      waitingBytes -= length;
    });
    appended.catch(() => undefined);
    waiting.push(appended);
    while (waitingBytes > WAITING_BYTES_MAX) await waiting.shift();
  };
  for await (const piece of input) {
    signal.throwIfAborted();
    for (const record of records.take(piece)) await append(record);
  }
  for (const record of records.rest()) await append(record);
  await Promise.all(waiting);
}

async function appendWhole(
  { call }: Files,
  file: GfsFile,
  input: AsyncIterable<Buffer>,
  recordBytesMax: number,
): Promise<void> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of input) {
    pieces.push(piece);
    length += piece.length;
    if (length > recordBytesMax) {
      throw new GfsError('INVALID_ARGUMENT', `a record has up to ${formatSize(recordBytesMax)} here`);
    }
  }
  if (length > 0) await file.append(pieces, call);
}
