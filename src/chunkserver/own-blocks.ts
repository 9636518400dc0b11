import { type Bytes, lengthOf, slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { checksumsOf } from '../base/crc.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { blockLength } from '../core/reconcile.ts';
import type { VersionRecord } from '../core/replica-types.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { Replica } from '../storage/replica-store.ts';
import type { MemberLink, MemberSums } from './member-link.ts';

/** This replica cannot be what others are made equal to: its disk fails, or another whole one has what it lost. */
export class OwnReplicaFailed extends GfsError {}

/**
 * The blocks of a new primary as its members get them (P7, P8). One that does not match its checksum is put right from
 * another member that holds the same. Where none does:
 *
 * - after a loss of power under all members (P7), another's older block serves: all that was synced is in it;
 * - if another whole member can read its own, this server is not the one to order: it says so (`OwnReplicaFailed`), and resigns;
 * - otherwise the block is lost. All members keep the checksum that its bytes should have, and none has them: who reads
 *   it gets an error until it is overwritten, and everything around it is served.
 */
export class OwnBlocks {
  readonly #env: Env;
  readonly #replica: Replica;
  readonly #record: VersionRecord;
  readonly #others: readonly MemberLink[];
  readonly #repairs = new Map<number, Promise<'replaced' | 'lost'>>();
  /** So far: no member has the bytes of these. */
  readonly lost = new Set<number>();

  constructor(env: Env, replica: Replica, record: VersionRecord, others: readonly MemberLink[]) {
    this.#env = env;
    this.#replica = replica;
    this.#record = record;
    this.#others = others;
  }

  /** Of a replica that serves although it lost power, every block is looked at before any is compared. */
  async repairAll(): Promise<void> {
    const { length } = this.#replica.state;
    for (let blockIndex = 0; blockIndex * CHECKSUM_BLOCK_BYTES < length; blockIndex += 1) {
      await this.read(blockIndex);
    }
  }

  /** Undefined: it is lost. */
  async read(blockIndex: number): Promise<Bytes | undefined> {
    const bytes = await this.#readOwn(blockIndex);
    if (bytes !== undefined) return bytes;
    let repair = this.#repairs.get(blockIndex);
    if (repair === undefined) {
      repair = this.#repair(blockIndex);
      this.#repairs.set(blockIndex, repair);
    }
    return (await repair) === 'lost' ? undefined : await this.#readOwn(blockIndex);
  }

  /** Undefined: it does not match its checksum. */
  async #readOwn(blockIndex: number): Promise<Bytes | undefined> {
    try {
      return (await this.#replica.read(blockIndex * CHECKSUM_BLOCK_BYTES, CHECKSUM_BLOCK_BYTES)).payload;
    } catch (cause) {
      const code = codeOf(cause);
      if (code === 'CHECKSUM_MISMATCH') return undefined;
      throw new OwnReplicaFailed(code, `block ${blockIndex} cannot be read here: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  async #repair(blockIndex: number): Promise<'replaced' | 'lost'> {
    const { chunk, version, loss } = this.#record;
    const own = await this.#replica.blockChecksums();
    const length = blockLength(own.length, blockIndex);
    const checksum = own.checksums[blockIndex];
    const members = await this.#members();
    const same = members.filter(({ sums }) => isSame(sums, { blockIndex, length, checksum }));
    const rest = members.filter((member) => !same.includes(member));
    const older =
      loss === version ? rest.filter(({ sums }) => blockLength(sums.length, blockIndex) >= length) : [];
    const fields = { chunk: hex(chunk), version, block: blockIndex };
    for (const { link } of same) {
      if (!(await this.#mendFrom(link, blockIndex))) continue;
      this.#env.log
        .of('repair')
        .warn({ ...fields, from: link.server }, 'a bad block of a new primary was put right');
      return 'replaced';
    }
    for (const { link } of older) {
      const bytes = await this.#fetch(link, blockIndex);
      if (bytes === undefined) continue;
      const data = slice(bytes, 0, length);
      const [found] = checksumsOf(data, 0);
      if (found === undefined || lengthOf(data) < length) continue;
      await this.#replica.reconcileBlock(version, blockIndex, data, found);
      this.#env.log
        .of('repair')
        .warn({ ...fields, from: link.server }, 'a bad block of a new primary was replaced');
      return 'replaced';
    }
    for (const { link, sums } of rest) {
      // One that this primary made equal to itself has no more than it. Any other whole one has all that was acknowledged,
      // also where its block is shorter, or is not there.
      const isOther = sums.whole && sums.stream.version !== version;
      const isThere = blockLength(sums.length, blockIndex) > 0;
      if (isOther && (!isThere || (await this.#fetch(link, blockIndex)) !== undefined)) {
        const message = `block ${blockIndex} is bad here, and server ${link.server} is whole`;
        throw new OwnReplicaFailed('CHECKSUM_MISMATCH', message);
      }
    }
    this.#env.log.of('repair').error(fields, 'a block is lost: no member has its bytes');
    this.lost.add(blockIndex);
    return 'lost';
  }

  /** The furthest in the same stream first. All have to answer. */
  async #members(): Promise<{ link: MemberLink; sums: MemberSums }[]> {
    const { version } = this.#replica.state.stream;
    const asked = await Promise.all(
      this.#others.map(async (link) => ({ link, sums: await link.persist(() => link.sums()) })),
    );
    return asked
      .flatMap(({ link, sums }) => (sums === undefined ? [] : [{ link, sums }]))
      .sort((a, b) => ordersOf(b.sums, version) - ordersOf(a.sums, version));
  }

  /** False: it is bad there, too. */
  async #mendFrom(link: MemberLink, blockIndex: number): Promise<boolean> {
    const bytes = await this.#fetch(link, blockIndex);
    if (bytes === undefined) return false;
    try {
      if (await this.#replica.mendBlock(blockIndex, bytes)) return true;
    } catch (cause) {
      const message = `block ${blockIndex} cannot be put right here: ${messageOf(cause)}`;
      throw new OwnReplicaFailed(codeOf(cause), message, { cause });
    }
    // It had the same checksum: what came is not what is there. The next primary asks again.
    throw new OwnReplicaFailed(
      'CHECKSUM_MISMATCH',
      `block ${blockIndex} from server ${link.server} is damaged`,
    );
  }

  /** Undefined: it is bad there, too. */
  async #fetch(link: MemberLink, blockIndex: number): Promise<Bytes | undefined> {
    const { chunk, version } = this.#record;
    const { readBlock } = ChunkserverDefinition.methods;
    try {
      return await link.persist(
        () => link.fetch(readBlock, { chunk, version, blockIndex }),
        (error) => codeOf(error) === 'CHECKSUM_MISMATCH',
      );
    } catch (error) {
      if (codeOf(error) !== 'CHECKSUM_MISMATCH') throw error;
      return undefined;
    }
  }
}

function isSame(
  sums: MemberSums,
  { blockIndex, length, checksum }: { blockIndex: number; length: number; checksum: number | undefined },
): boolean {
  return blockLength(sums.length, blockIndex) === length && sums.checksums[blockIndex] === checksum;
}

function ordersOf({ stream }: MemberSums, version: number): number {
  return stream.version === version ? stream.nextSerial : -1;
}
