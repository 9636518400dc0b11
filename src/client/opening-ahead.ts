import { GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { type Caller, type FileAhead, MasterDefinition } from '../rpc/messages.ts';
import type { Call, Place } from './api.ts';
import { boundBefore, DirectoryRuns } from './directory-runs.ts';
import type { Asked, KnownEntries } from './known-entries.ts';
import type { Patience } from './patience.ts';
import { attributesOf, callerMessage } from './requests.ts';
import type { Session } from './session.ts';

const { openAhead } = MasterDefinition.methods;

export interface OpeningAheadParts {
  readonly session: Session;
  readonly known: KnownEntries;
}

/**
 * Who reads one file of a directory after the other has the next ones opened by one question to the master. They are kept until
 * he comes to them.
 */
export class OpeningAhead {
  readonly #parts: OpeningAheadParts;
  readonly #runs = new DirectoryRuns();
  readonly #asking = new Map<InodeId, Promise<void>>();

  constructor(parts: OpeningAheadParts) {
    this.#parts = parts;
  }

  /** One that was kept is read. */
  answered(inode: InodeId): void {
    const place = this.#parts.known.placeOf(inode);
    if (place !== undefined) this.#runs.answered(place.parent);
  }

  /** One is to be read that is not kept. Resolves when others are, and it may be one of them; undefined: none will be. */
  missed(inode: InodeId, call: Call, patience: Patience): Promise<void> | undefined {
    const { known } = this.#parts;
    const place = known.isTold ? known.placeOf(inode) : undefined;
    if (place === undefined) return undefined;
    const { parent } = place;
    const asking = this.#asking.get(parent);
    if (asking !== undefined) return asking;
    const count = this.#runs.missed(place);
    if (count === 1) return undefined;
    const asked = this.#ask(place, count, call, patience)
      .catch((error: unknown) => {
        // It is opened by itself then, and says what is wrong with it.
        if (!(error instanceof GfsError)) throw error;
        this.#runs.end(parent);
      })
      .finally(() => this.#asking.delete(parent));
    this.#asking.set(parent, asked);
    return asked;
  }

  async #ask({ parent, name }: Place, limit: number, { caller }: Call, patience: Patience): Promise<void> {
    const { session, known } = this.#parts;
    const asked = known.asking();
    const firstOpenId = session.nextNumbers(limit);
    const request = {
      caller: callerMessage(caller),
      directory: parent,
      after: boundBefore(name),
      limit,
      firstOpenId,
    };
    let answered = 0;
    try {
      const { files } = await session.ask(openAhead, (id) => ({ ...request, session: id }), patience);
      answered = files.length;
      for (const file of files) this.#keep(file, { parent, name: file.name }, callerMessage(caller), asked);
    } finally {
      // Of a question that had to be asked again the master may have heard before: it answered, and opened, something else.
      if (answered === 0 || patience.failures > 0) {
        for (let index = answered; index < limit; index += 1) session.gaveBack(firstOpenId + index);
      }
    }
  }

  #keep(file: FileAhead, place: Place, caller: Caller, asked: Asked): void {
    const { session, known } = this.#parts;
    const { openId, extents } = file;
    const attributes = attributesOf(file);
    known.learnName(place, attributes, asked);
    const inode = inodeId(attributes.inode);
    const held = { openId, inode, read: true, write: false, append: false, caller, mayBeKept: true };
    const isKept =
      known.answered(inode) !== undefined &&
      session.kept.keep(inode, held, { extents, askedAtMs: asked.atMs });
    if (!isKept) session.gaveBack(openId);
  }
}
