import { type Bytes, lengthOf, slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import type { LearnBegin, LearnBlocks, LearnOrders, LearnRequest } from '../rpc/messages.ts';
import type { Replica } from '../storage/replica-store.ts';
import { takeOrders } from './member-handlers.ts';
import { type ChunkserverHandlers, heldAt, notPrimary, type ServerParts } from './server-parts.ts';
import { entryOf, noSuchChunk, recordOf } from './wire.ts';

/** The repair of a copy (P9): what the master asks of a primary, and what that asks of the learner. */
export function learnHandlers(parts: ServerParts): Pick<ChunkserverHandlers, 'teach' | 'learn'> {
  return {
    teach: async ({ message: { chunk, version, learner } }) => {
      if (learner === undefined) throw new GfsError('INVALID_ARGUMENT', 'there is nobody to teach');
      const held = await heldAt(parts, chunk, version);
      if (held.role === undefined) throw notPrimary(held);
      await held.role.teach(learner);
      return { message: {} };
    },

    learn: async ({ message, payload }) => {
      const { server, step } = message;
      if (server !== parts.self()) {
        throw new GfsError('WRONG_SERVICE', `this is not server ${server}, which the step is for`);
      }
      switch (step?.$case) {
        case 'begin':
          return { message: { checksums: [...(await begin(parts, message, step.value))] } };
        case 'orders':
          await applyOrders(parts, message, step.value, payload);
          break;
        case 'blocks':
          await takeBlocks(parts, message, step.value, payload);
          break;
        case 'end':
          await (await learnerOf(parts, message)).learned(message.lesson, message.serial, step.value.digest);
          break;
        default:
          throw new GfsError('INVALID_ARGUMENT', 'a lesson without a step');
      }
      return { message: { checksums: [] } };
    },
  };
}

async function begin(
  parts: ServerParts,
  { chunk, lesson, serial }: LearnRequest,
  { record, length, sealed, table }: LearnBegin,
): Promise<readonly number[]> {
  if (record?.chunk !== chunk || lesson === '') {
    throw new GfsError('INVALID_ARGUMENT', 'a lesson begins with its name and the record of its chunk');
  }
  await parts.checkRoom(length);
  return await parts.chunks.learn(recordOf(record), lesson, {
    serial,
    length,
    sealed,
    table: table.map(entryOf),
  });
}

async function applyOrders(
  parts: ServerParts,
  message: LearnRequest,
  { orders }: LearnOrders,
  payload: Bytes,
): Promise<void> {
  const replica = await learnerOf(parts, message);
  const { chunk } = message;
  const { version } = replica.state.record;
  const taken = takeOrders(parts, { chunk, version, orders }, payload);
  const applied = await Promise.allSettled(
    taken.map(({ mutation, bytes }) => replica.apply(mutation, bytes, message.lesson)),
  );
  for (const { release } of taken) release();
  const failed = applied.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function takeBlocks(
  parts: ServerParts,
  message: LearnRequest,
  { firstBlock, checksums, lostBytes }: LearnBlocks,
  payload: Bytes,
): Promise<void> {
  const replica = await learnerOf(parts, message);
  const length = lengthOf(payload);
  const [checksum] = checksums;
  if (lostBytes > 0 && length === 0 && checksum !== undefined) {
    const block = { blockIndex: firstBlock, length: lostBytes, checksum };
    await replica.learnLostBlock(message.lesson, message.serial, block);
    return;
  }
  if (checksums.length === 0 || Math.ceil(length / CHECKSUM_BLOCK_BYTES) !== checksums.length) {
    throw new GfsError('INVALID_ARGUMENT', `${checksums.length} checksums for blocks of ${length} bytes`);
  }
  const blocks = checksums.map((checksum, index) => {
    const start = index * CHECKSUM_BLOCK_BYTES;
    const data = slice(payload, start, Math.min(length, start + CHECKSUM_BLOCK_BYTES));
    return replica.learnBlock(message.lesson, message.serial, {
      blockIndex: firstBlock + index,
      data,
      checksum,
    });
  });
  const copied = await Promise.allSettled(blocks);
  const failed = copied.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function learnerOf(parts: ServerParts, { chunk, lesson }: LearnRequest): Promise<Replica> {
  const held = await parts.chunks.hold(chunk);
  if (held === undefined) throw noSuchChunk(chunk);
  if (held.replica.state.lesson !== lesson) {
    throw new GfsError('NOT_READY', `lesson ${lesson} is not under way here`);
  }
  return held.replica;
}
