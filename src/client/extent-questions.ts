import { must } from '../base/assert.ts';
import { type ExtentLocation, type FindChunksResponse, MasterDefinition } from '../rpc/messages.ts';
import type { Access } from './locations.ts';
import type { Patience } from './patience.ts';
import { callerMessage } from './requests.ts';
import type { Session } from './session.ts';

const { findChunks, addChunk } = MasterDefinition.methods;

/** As `FindChunksRequest` has them; what is left out is not asked. */
export interface Question {
  readonly fileOffset: number;
  readonly count: number;
  readonly forWrite?: boolean;
  readonly forSync?: boolean;
  readonly suspectVersion?: number;
  readonly last?: boolean;
  readonly unacknowledged?: boolean;
  readonly fullServer?: number;
}

/** A chunk that its primary sealed, of the extent before the one that is added. */
export interface SealedChunk {
  readonly chunk: number;
  readonly length: number;
  /** At which it said so. */
  readonly version: number;
}

/** What the master is asked of files' extents, by the right of an open file. */
export class ExtentQuestions {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async find(access: Access, question: Question, patience: Patience): Promise<FindChunksResponse> {
    const { inode, caller, openId } = access;
    return await this.#session.ask(
      findChunks,
      (session) => {
        // Asked again in a new session, it may not be the file's right any more.
        this.#session.mustHold(openId);
        return {
          caller: callerMessage(caller),
          inode,
          fileOffset: question.fileOffset,
          count: question.count,
          forWrite: question.forWrite ?? false,
          forSync: question.forSync ?? false,
          session,
          openId,
          suspectVersion: question.suspectVersion ?? 0,
          last: question.last ?? false,
          unacknowledged: question.unacknowledged ?? false,
          fullServer: question.fullServer ?? 0,
        };
      },
      patience,
    );
  }

  /** The extent that holds the offset, which is added where there is none. */
  async add(
    { inode, caller, openId }: Access,
    fileOffset: number,
    sealed: SealedChunk | undefined,
    patience: Patience,
  ): Promise<ExtentLocation> {
    const request = {
      context: undefined,
      inode,
      fileOffset,
      openId,
      sealedChunk: sealed?.chunk ?? 0,
      sealedLength: sealed?.length ?? 0,
      sealedVersion: sealed?.version ?? 0,
    };
    const answer = await this.#session.command(addChunk, request, caller, patience, true, openId);
    return must(answer.extent, 'AddChunk answers an extent');
  }
}
