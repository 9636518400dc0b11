import { NAME_BYTES_MAX } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import {
  type Attributes,
  type CommandContext,
  type LongCommandProgress,
  MasterDefinition,
  type StatFilesystemResponse,
} from '../rpc/messages.ts';
import type { Method } from '../rpc/network.ts';
import type {
  Call,
  DirectoryPage,
  LinkOptions,
  ListOptions,
  NodeDescription,
  Place,
  RemovedTree,
  RenameOptions,
  Waiting,
} from './api.ts';
import { boundBefore, DirectoryRuns } from './directory-runs.ts';
import type { Entries } from './entries.ts';
import type { FileStates } from './file-states.ts';
import type { KnownEntries } from './known-entries.ts';
import type { Patience } from './patience.ts';
import { attributesOf, callerMessage, nameOf } from './requests.ts';
import type { Session } from './session.ts';

const methods = MasterDefinition.methods;
const NO_NAME = Buffer.alloc(0);

export interface NamespaceOptions {
  readonly session: Session;
  readonly states: FileStates;
  readonly entries: Entries;
  readonly known: KnownEntries;
  readonly patience: (waiting: Waiting | undefined) => Patience;
}

/** Names and attributes: each call is one question to the master, or one command. */
export class Namespace {
  readonly #session: Session;
  readonly #states: FileStates;
  readonly #entries: Entries;
  readonly #known: KnownEntries;
  readonly #patience: (waiting: Waiting | undefined) => Patience;
  readonly #runs = new DirectoryRuns();

  constructor({ session, states, entries, known, patience }: NamespaceOptions) {
    this.#session = session;
    this.#states = states;
    this.#entries = entries;
    this.#known = known;
    this.#patience = patience;
  }

  async lookup(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    const known = this.#known;
    const place = { parent, name };
    const remembered = known.lookup(place);
    if (remembered === 'absent') throw new GfsError('NOT_FOUND', 'no such name');
    if (remembered !== undefined) {
      this.#runs.answered(parent);
      return remembered;
    }
    const count = known.remembers && name.length <= NAME_BYTES_MAX ? this.#runs.missed(place) : 1;
    return (count > 1 ? await this.#learnRun(place, count, call) : undefined) ?? this.#lookup(place, call);
  }

  async #lookup(place: Place, call: Call): Promise<Attributes> {
    const { parent, name } = place;
    const asked = this.#known.asking();
    const patience = this.#patience(call);
    const request = { caller: callerMessage(call.caller), parent, name: nameOf(name) };
    try {
      const ask = (session: number) => ({ ...request, session });
      const answer = await this.#session.ask(methods.lookup, ask, patience);
      const attributes = await this.#entries.exact(answer, call.caller, patience);
      this.#known.learnName(place, attributes, asked);
      return this.#states.observe(attributes, asked.tick);
    } catch (error) {
      if (codeOf(error) === 'NOT_FOUND') this.#runs.end(parent);
      throw error;
    }
  }

  /** Learns what a name and those that come after it mean; undefined: what this one means has to be asked by itself. */
  async #learnRun({ parent, name }: Place, limit: number, call: Call): Promise<Attributes | undefined> {
    try {
      const options = { after: boundBefore(name), limit, withAttributes: true };
      const [first] = (await this.list(parent, options, call)).entries;
      return first?.name.equals(name) ? first.attributes : undefined;
    } catch (error) {
      // Whoever may not list a directory may be allowed to look up what is in it.
      if (codeOf(error) !== 'PERMISSION_DENIED') throw error;
      this.#runs.end(parent);
      return undefined;
    }
  }

  async attributes(inode: InodeId, call: Call): Promise<Attributes> {
    const remembered = this.#known.attributes(inode);
    if (remembered !== undefined) return remembered;
    const asked = this.#known.asking();
    const attributes = await this.#entries.attributes(inode, call.caller, this.#patience(call));
    this.#known.learn(attributes, asked);
    return this.#states.observe(attributes, asked.tick);
  }

  async readSymlink(inode: InodeId, call: Call): Promise<Buffer> {
    const request = { caller: callerMessage(call.caller), inode };
    const ask = (session: number) => ({ ...request, session });
    return (await this.#session.ask(methods.readSymlink, ask, this.#patience(call))).target;
  }

  async list(directory: InodeId, options: ListOptions, call: Call): Promise<DirectoryPage> {
    const { after, limit, withAttributes } = options;
    const asked = this.#known.asking();
    const request = {
      caller: callerMessage(call.caller),
      inode: directory,
      after: after === undefined ? NO_NAME : nameOf(after),
      limit,
      withAttributes: withAttributes ?? false,
    };
    const answer = await this.#session.ask(
      methods.listDirectory,
      (session) => ({ ...request, session }),
      this.#patience(call),
    );
    for (const entry of answer.entries) {
      if (entry.attributes === undefined) continue;
      this.#known.learnName({ parent: directory, name: entry.name }, entry.attributes, asked);
      const isCut = this.#states.mayBeCut(entry.attributes);
      entry.attributes = isCut ? undefined : this.#states.observe(entry.attributes, asked.tick);
    }
    return { entries: answer.entries, end: answer.end, parent: inodeId(answer.parent) };
  }

  async statFilesystem(waiting?: Waiting): Promise<StatFilesystemResponse> {
    return await this.#session.ask(methods.statFilesystem, () => ({}), this.#patience(waiting));
  }

  async makeNode(parent: InodeId, name: Uint8Array, node: NodeDescription, call: Call): Promise<Attributes> {
    const { type, mode, umask, rdev, symlinkTarget } = node;
    const request = {
      context: undefined,
      parent,
      name: nameOf(name),
      type,
      mode,
      umask,
      rdev: rdev ?? 0,
      symlinkTarget: symlinkTarget === undefined ? NO_NAME : nameOf(symlinkTarget),
    };
    const place = { parent, name };
    const asked = this.#known.asking();
    const answer = await this.#command(methods.makeNode, request, call, place);
    const attributes = attributesOf(answer);
    this.#known.added(place, attributes, answer.parent, asked);
    return attributes;
  }

  async makeLink(inode: InodeId, place: Place, options: LinkOptions, call: Call): Promise<Attributes> {
    const { parent, name } = place;
    const asked = this.#known.asking();
    const { replace = false } = options;
    const request = { context: undefined, inode, parent, name: nameOf(name), replace };
    if (replace) this.#isGoing(place);
    const answer = await this.#command(methods.makeLink, request, call, place);
    if (answer.replaced !== 0) this.#known.unknown(inodeId(answer.replaced));
    const attributes = await this.#entries.exact(answer, call.caller, this.#patience(call));
    this.#known.named(place, attributes, answer.parent, asked);
    return this.#states.observe(attributes, asked.tick);
  }

  async unlink(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined> {
    return await this.#remove(methods.unlink, { parent, name }, call);
  }

  async removeDirectory(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined> {
    return await this.#remove(methods.removeDirectory, { parent, name }, call);
  }

  async removeTree(parent: InodeId, name: Uint8Array, call: Call): Promise<RemovedTree> {
    const place = { parent, name };
    const request = { context: undefined, parent, name: nameOf(name) };
    const asked = this.#known.asking();
    const answer = await this.#command(methods.removeTree, request, call, place);
    this.#known.removed(place, { inode: inodeId(answer.inode), directory: answer.parent }, asked);
    const { removed, count, longCommand } = answer;
    return { removed, count, longCommand: longCommand === 0 ? undefined : longCommand };
  }

  async longCommand(id: number, waiting?: Waiting): Promise<LongCommandProgress | undefined> {
    return (await this.#session.ask(methods.getLongCommand, () => ({ id }), this.#patience(waiting)))
      .progress;
  }

  async syncNames(waiting?: Waiting): Promise<void> {
    await this.#session.ask(methods.syncNames, () => ({}), this.#patience(waiting));
  }

  async rename(from: Place, to: Place, options: RenameOptions, call: Call): Promise<Attributes | undefined> {
    const request = {
      context: undefined,
      parent: from.parent,
      name: nameOf(from.name),
      newParent: to.parent,
      newName: nameOf(to.name),
      noReplace: options.noReplace ?? false,
      exchange: options.exchange ?? false,
      whiteout: options.whiteout ?? false,
    };
    if (!request.exchange) this.#isGoing(to);
    const asked = this.#known.asking();
    const answer = await this.#command(methods.rename, request, call, from, to);
    const inodes = [answer.moved, answer.other].filter((inode) => inode !== 0).map(inodeId);
    const directories = [answer.parent, answer.newParent];
    const keepsName = request.exchange || request.whiteout;
    this.#known.renamed(from, to, { keepsName, inodes, directories }, asked);
    return answer.removed;
  }

  async #remove(
    method: typeof methods.unlink | typeof methods.removeDirectory,
    place: Place,
    call: Call,
  ): Promise<Attributes | undefined> {
    this.#isGoing(place);
    const request = { context: undefined, parent: place.parent, name: nameOf(place.name) };
    const asked = this.#known.asking();
    const { parent, removed, inode } = await this.#command(method, request, call, place);
    this.#known.removed(place, { inode: inodeId(inode), directory: parent }, asked);
    return removed;
  }

  /** Whatever has the name loses it. If it is kept open for another reader, that it is closed goes with the command. */
  #isGoing(place: Place): void {
    const inode = this.#known.name(place);
    if (inode !== undefined) this.#session.kept.release(inode);
  }

  /** A command on names: when it fails, it is not known what they mean now. */
  async #command<Req extends { context: CommandContext | undefined }, Res>(
    method: Method<Req, Res>,
    request: Req,
    call: Call,
    ...places: readonly Place[]
  ): Promise<Res> {
    const patience = this.#patience(call);
    return await this.#known.attempt(
      this.#session.command(method, request, call.caller, patience, false),
      ...places,
    );
  }
}
