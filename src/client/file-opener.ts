import type { Env } from '../base/env.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { type Attributes, type ExtentLocation, MasterDefinition } from '../rpc/messages.ts';
import type { Call, CreatedFile, CreateMode, OpenedFile, OpenMode, UnnamedMode, Waiting } from './api.ts';
import type { FileStates } from './file-states.ts';
import type { FileWork } from './file-work.ts';
import type { Asked, KnownEntries } from './known-entries.ts';
import type { Access, Locations } from './locations.ts';
import { OpenFile } from './open-file.ts';
import { OpeningAhead } from './opening-ahead.ts';
import { type Patience, within } from './patience.ts';
import type { RecentChanges } from './recent-changes.ts';
import { attributesOf, callerMessage, nameOf } from './requests.ts';
import type { Session } from './session.ts';

const methods = MasterDefinition.methods;
/** As many copies as the file system has by default. */
const DEFAULT_GOAL = 0;

export interface FileOpenerParts {
  readonly env: Env;
  readonly tasks: TaskGroup;
  readonly session: Session;
  readonly states: FileStates;
  readonly locations: Locations;
  readonly known: KnownEntries;
  readonly work: FileWork;
  readonly changes: RecentChanges;
  readonly patience: (waiting: Waiting | undefined) => Patience;
}

/** Opens and makes files at the master, and knows which are open. */
export class FileOpener {
  readonly #parts: FileOpenerParts;
  readonly #openFiles = new Set<OpenFile>();

  readonly #ahead: OpeningAhead;

  constructor(parts: FileOpenerParts) {
    this.#parts = parts;
    this.#ahead = new OpeningAhead(parts);
  }

  create(parent: InodeId, name: Uint8Array, mode: CreateMode, call: Call): Promise<CreatedFile> {
    return this.#given(call, (patience) => this.#create(parent, name, mode, call, patience));
  }

  createUnnamed(directory: InodeId, mode: UnnamedMode, call: Call): Promise<OpenedFile> {
    return this.#given(call, (patience) => this.#createUnnamed(directory, mode, call, patience));
  }

  open(inode: InodeId, mode: OpenMode, call: Call): Promise<OpenedFile> {
    return this.#given(call, (patience) => this.#open(inode, mode, call, patience));
  }

  /**
   * What is opened is given to the caller, or closed if he has gone meanwhile: whether an opening that is broken off happened only its
   * answer tells, and the file would count as open for as long as the session lasts.
   */
  async #given<T extends OpenedFile>(call: Call, open: (patience: Patience) => Promise<T>): Promise<T> {
    const { env, tasks } = this.#parts;
    const patience = this.#parts.patience(call);
    const opening = open(patience.lingering());
    try {
      await within(
        env,
        opening.then(() => undefined),
        patience,
        'no file was opened',
      );
    } catch (error) {
      tasks.run(() =>
        opening.then(
          ({ file }) => file.close(),
          () => undefined,
        ),
      );
      throw error;
    }
    return await opening;
  }

  async #create(
    parent: InodeId,
    name: Uint8Array,
    mode: CreateMode,
    call: Call,
    patience: Patience,
  ): Promise<CreatedFile> {
    const place = { parent, name };
    const asked = this.#parts.known.asking();
    const request = {
      context: undefined,
      parent,
      name: nameOf(name),
      mode: mode.mode,
      exclusive: mode.exclusive ?? false,
      reserveChunk: mayWrite(mode),
      read: mode.read ?? false,
      write: mayWrite(mode),
      truncate: mode.truncate ?? false,
      umask: mode.umask,
      goal: mode.goal ?? DEFAULT_GOAL,
    };
    const repeatable = mode.exclusive !== true;
    const answer = await this.#parts.known.attempt(
      this.#parts.session.command(methods.createFile, request, call.caller, patience, repeatable),
      place,
    );
    const attributes = attributesOf(answer);
    this.#parts.known.named(place, attributes, answer.parent, asked);
    const truncated = mode.truncate === true && !answer.created;
    const opened = this.#opened(answer, mode, call, {
      asked,
      truncated,
      whole: answer.created || truncated,
    });
    return { ...(await this.#asItIs(opened, false, call)), created: answer.created };
  }

  async #createUnnamed(
    directory: InodeId,
    mode: UnnamedMode,
    call: Call,
    patience: Patience,
  ): Promise<OpenedFile> {
    const asked = this.#parts.known.asking();
    const { umask, linkable, read = false, goal = DEFAULT_GOAL } = mode;
    const write = mayWrite(mode);
    const how = { mode: mode.mode, umask, goal, linkable, reserveChunk: write, read, write };
    const request = { context: undefined, directory, ...how };
    // What an earlier session made went with it.
    const repeatable = true;
    const answer = await this.#parts.session.command(
      methods.createUnnamed,
      request,
      call.caller,
      patience,
      repeatable,
    );
    this.#parts.known.learn(attributesOf(answer), asked);
    return this.#opened(answer, mode, call, { asked, truncated: false, whole: true });
  }

  async #open(inode: InodeId, mode: OpenMode, call: Call, patience: Patience): Promise<OpenedFile> {
    if (mayBeKept(mode)) {
      const kept = this.#takeKept(inode, mode, call);
      if (kept !== undefined) return kept;
      const ahead = this.#ahead.missed(inode, call, patience);
      if (ahead !== undefined) {
        await ahead;
        const opened = this.#takeKept(inode, mode, call);
        if (opened !== undefined) return opened;
      }
    }
    const truncated = mode.truncate === true;
    const request = {
      context: undefined,
      inode,
      read: mode.read ?? false,
      write: mayWrite(mode),
      truncate: truncated,
      append: mode.append ?? false,
      execute: mode.execute ?? false,
    };
    const state = truncated ? this.#parts.states.find(inode) : undefined;
    // A write that was taken before must not arrive behind the truncation.
    using _ = await state?.truncating.acquire();
    if (state !== undefined) await this.#parts.work.drained(state, patience);
    using _hold = state?.writeBehind?.hold();
    const asked = this.#parts.known.asking();
    const answer = await this.#parts.session.command(methods.open, request, call.caller, patience, true);
    if (truncated) this.#parts.known.unknown(inode);
    else if (!answer.beingWritten) this.#parts.known.learn(attributesOf(answer), asked);
    else this.#parts.known.learnXattrs(attributesOf(answer), asked);
    const opened = this.#opened(answer, mode, call, { asked, truncated, whole: truncated });
    // Whoever reads wants to know how long it is.
    return await this.#asItIs(opened, answer.beingWritten && mode.read === true, call);
  }

  /** It was opened before, or ahead, and nothing has been heard of it since. */
  #takeKept(inode: InodeId, mode: OpenMode, call: Call): OpenedFile | undefined {
    const { known, session, states } = this.#parts;
    const answered = known.answered(inode);
    // What was answered before this client changed the file says neither where its bytes are now, nor that there are none.
    if (answered === undefined || states.find(inode)?.changedSince(answered.tick)) return undefined;
    const kept = session.kept.take(inode, callerMessage(call.caller));
    if (kept === undefined) return undefined;
    this.#ahead.answered(inode);
    const { attributes, moment, tick } = answered;
    const { extents, askedAtMs: atMs = answered.atMs } = kept.first ?? {};
    const answer = { attributes, openId: kept.file.openId, extents, beingWritten: false };
    const asked = { moment, tick, atMs };
    return this.#opened(answer, mode, call, { asked, truncated: false, whole: false });
  }

  /** Its attributes are asked for again if that is wanted, or if what this client wrote may have been cut off. */
  async #asItIs(opened: OpenedFile, wanted: boolean, call: Call): Promise<OpenedFile> {
    if (!wanted && !this.#parts.states.mayBeCut(opened.attributes)) return opened;
    try {
      return { ...opened, attributes: await opened.file.attributes(call) };
    } catch (error) {
      await opened.file.close(call).catch(() => undefined);
      throw error;
    }
  }

  /** An open file from the master's answer: its state, its first locations, its place in the session. */
  #opened(answer: OpenAnswer, mode: OpenMode, call: Call, how: HowOpened): OpenedFile {
    const attributes = attributesOf(answer);
    const inode = inodeId(attributes.inode);
    const { openId, extents } = answer;
    const { state, unchanged } = this.#parts.states.acquire(inode, attributes, how.asked.tick);
    if (how.truncated) state.truncated(attributes);
    if (answer.beingWritten) {
      // Its length is a lower bound, and nobody tells when it grows.
      this.#parts.changes.note(inode);
      state.mayHaveChanged();
    }
    // A file of no length and no extents has no extents anywhere.
    const whole = how.whole || (extents?.length === 0 && attributes.length === 0);
    if (extents !== undefined)
      this.#parts.locations.learnFirst(inode, extents, { whole, askedAtMs: how.asked.atMs });
    const caller = callerMessage(call.caller);
    const { read = false, append = false } = mode;
    const held = { openId, inode, read, write: mayWrite(mode), append, caller };
    this.#parts.session.opened({ ...held, mayBeKept: mayBeKept(mode) });
    const access: Access = { inode, caller: call.caller, openId };
    const file = new OpenFile({
      work: this.#parts.work,
      state,
      access,
      mode,
      onClosed: () => this.#openFiles.delete(file),
    });
    this.#openFiles.add(file);
    const { beingWritten } = answer;
    const observed = beingWritten ? attributes : state.observe(attributes, how.asked.tick);
    return { file, attributes: observed, unchanged: unchanged && !beingWritten, beingWritten };
  }

  /** Closes what is open, whatever becomes of it. */
  closeAll(): Promise<PromiseSettledResult<unknown>[]> {
    return Promise.allSettled([...this.#openFiles].map((file) => file.close()));
  }
}

interface OpenAnswer {
  readonly attributes: Attributes | undefined;
  readonly openId: number;
  /** The file's first ones; undefined: it does not say. */
  readonly extents: readonly ExtentLocation[] | undefined;
  readonly beingWritten: boolean;
}

interface HowOpened {
  readonly asked: Asked;
  readonly truncated: boolean;
  /** The answer's extents are all that there are. */
  readonly whole: boolean;
}

/** Who reads asks for nothing more than that it is there, and as it was. */
function mayBeKept(mode: OpenMode): boolean {
  const { read = false, truncate = false, execute = false } = mode;
  return read && !mayWrite(mode) && !truncate && !execute;
}

function mayWrite(mode: OpenMode): boolean {
  return mode.write === true || mode.append === true;
}
