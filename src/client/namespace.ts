import { type InodeId, inodeId } from '../base/ids.ts';
import { type Attributes, MasterDefinition, type StatFilesystemResponse } from '../rpc/messages.ts';
import type {
  Call,
  DirectoryPage,
  ListOptions,
  NodeDescription,
  Place,
  RenameOptions,
  Waiting,
} from './api.ts';
import type { Entries } from './entries.ts';
import type { FileStates } from './file-states.ts';
import type { Patience } from './patience.ts';
import { attributesOf, callerMessage, nameOf } from './requests.ts';
import type { Session } from './session.ts';

const methods = MasterDefinition.methods;
const NO_NAME = Buffer.alloc(0);

export interface NamespaceOptions {
  readonly session: Session;
  readonly states: FileStates;
  readonly entries: Entries;
  readonly patience: (waiting: Waiting | undefined) => Patience;
}

/** Names and attributes: each call is one question to the master, or one command. */
export class Namespace {
  readonly #session: Session;
  readonly #states: FileStates;
  readonly #entries: Entries;
  readonly #patience: (waiting: Waiting | undefined) => Patience;

  constructor({ session, states, entries, patience }: NamespaceOptions) {
    this.#session = session;
    this.#states = states;
    this.#entries = entries;
    this.#patience = patience;
  }

  async lookup(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    const askedAt = this.#states.now;
    const patience = this.#patience(call);
    const request = { caller: callerMessage(call.caller), parent, name: nameOf(name) };
    const answer = await this.#session.ask(methods.lookup, (session) => ({ ...request, session }), patience);
    return this.#states.observe(await this.#entries.exact(answer, call.caller, patience), askedAt);
  }

  async attributes(inode: InodeId, call: Call): Promise<Attributes> {
    const askedAt = this.#states.now;
    const attributes = await this.#entries.attributes(inode, call.caller, this.#patience(call));
    return this.#states.observe(attributes, askedAt);
  }

  async readSymlink(inode: InodeId, call: Call): Promise<Buffer> {
    const request = { caller: callerMessage(call.caller), inode };
    const ask = (session: number) => ({ ...request, session });
    return (await this.#session.ask(methods.readSymlink, ask, this.#patience(call))).target;
  }

  async list(directory: InodeId, options: ListOptions, call: Call): Promise<DirectoryPage> {
    const { after, limit, withAttributes } = options;
    const askedAt = this.#states.now;
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
      if (entry.attributes) entry.attributes = this.#states.observe(entry.attributes, askedAt);
    }
    return { entries: answer.entries, end: answer.end, parent: inodeId(answer.parent) };
  }

  async statFilesystem(waiting?: Waiting): Promise<StatFilesystemResponse> {
    return await this.#session.ask(methods.statFilesystem, () => ({}), this.#patience(waiting));
  }

  async makeNode(parent: InodeId, name: Uint8Array, node: NodeDescription, call: Call): Promise<Attributes> {
    const { type, mode, rdev, symlinkTarget } = node;
    const request = {
      context: undefined,
      parent,
      name: nameOf(name),
      type,
      mode,
      rdev: rdev ?? 0,
      symlinkTarget: symlinkTarget === undefined ? NO_NAME : nameOf(symlinkTarget),
    };
    const patience = this.#patience(call);
    return attributesOf(await this.#session.command(methods.makeNode, request, call.caller, patience, false));
  }

  async makeLink(inode: InodeId, parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    const askedAt = this.#states.now;
    const request = { context: undefined, inode, parent, name: nameOf(name) };
    const patience = this.#patience(call);
    const answer = await this.#session.command(methods.makeLink, request, call.caller, patience, false);
    return this.#states.observe(await this.#entries.exact(answer, call.caller, patience), askedAt);
  }

  async unlink(parent: InodeId, name: Uint8Array, call: Call): Promise<void> {
    const request = { context: undefined, parent, name: nameOf(name) };
    await this.#session.command(methods.unlink, request, call.caller, this.#patience(call), false);
  }

  async removeDirectory(parent: InodeId, name: Uint8Array, call: Call): Promise<void> {
    const request = { context: undefined, parent, name: nameOf(name) };
    await this.#session.command(methods.removeDirectory, request, call.caller, this.#patience(call), false);
  }

  async rename(from: Place, to: Place, options: RenameOptions, call: Call): Promise<void> {
    const request = {
      context: undefined,
      parent: from.parent,
      name: nameOf(from.name),
      newParent: to.parent,
      newName: nameOf(to.name),
      noReplace: options.noReplace ?? false,
      exchange: options.exchange ?? false,
    };
    await this.#session.command(methods.rename, request, call.caller, this.#patience(call), false);
  }
}
