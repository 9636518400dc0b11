import { codeOf, GfsError } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { kindOf } from '../core/metadata/xattrs.ts';
import { type Attributes, MasterDefinition } from '../rpc/messages.ts';
import type { Call, Waiting, XattrOptions } from './api.ts';
import type { Entries } from './entries.ts';
import type { FileStates } from './file-states.ts';
import type { KnownEntries } from './known-entries.ts';
import type { Patience } from './patience.ts';
import { callerMessage, nameOf } from './requests.ts';
import type { Session } from './session.ts';

const methods = MasterDefinition.methods;

export interface XattrsOptions {
  readonly session: Session;
  readonly states: FileStates;
  readonly entries: Entries;
  readonly known: KnownEntries;
  readonly patience: (waiting: Waiting | undefined) => Patience;
}

/** Extended attributes: asked of the master, unless it is known that there are none. */
export class Xattrs {
  readonly #options: XattrsOptions;

  constructor(options: XattrsOptions) {
    this.#options = options;
  }

  async get(inode: InodeId, name: Uint8Array, call: Call): Promise<Buffer> {
    const kind = unwrap(kindOf(nameOf(name)));
    const { known } = this.#options;
    const remembered = known.xattr(inode, nameOf(name));
    if (remembered === 'absent') throw new GfsError('NO_DATA', 'there is no attribute of that name');
    if (remembered !== undefined) return remembered;
    // Of the others it depends on the caller whether they are shown.
    const isForAll = kind !== 'user' && kind !== 'trusted';
    const value = isForAll
      ? await known.xattrAnswer(inode, nameOf(name), () => this.#find(inode, name, call))
      : await this.#find(inode, name, call);
    if (value === undefined) throw new GfsError('NO_DATA', 'there is no attribute of that name');
    return value;
  }

  /** As far as it is known; `get` would say NO_DATA. */
  hasNo(inode: InodeId, name: Buffer): boolean {
    return this.#options.known.xattr(inode, name) === 'absent' && kindOf(name).ok;
  }

  async list(inode: InodeId, call: Call): Promise<readonly Buffer[]> {
    const { known, session, patience } = this.#options;
    if (known.hasNoXattrs(inode)) return [];
    const request = { caller: callerMessage(call.caller), inode };
    const ask = (id: number) => ({ ...request, session: id });
    return (await session.ask(methods.listXattrs, ask, patience(call))).names;
  }

  async set(
    inode: InodeId,
    name: Uint8Array,
    value: Uint8Array,
    options: XattrOptions,
    call: Call,
  ): Promise<Attributes> {
    const { create = false, replace = false } = options;
    const change = { context: undefined, inode, name: nameOf(name), value: nameOf(value), create, replace };
    return await this.#change(methods.setXattr, inode, change, call, !create);
  }

  async remove(inode: InodeId, name: Uint8Array, call: Call): Promise<Attributes> {
    const change = { context: undefined, inode, name: nameOf(name) };
    return await this.#change(methods.removeXattr, inode, change, call, false);
  }

  async #find(inode: InodeId, name: Uint8Array, call: Call): Promise<Buffer | undefined> {
    const { session, patience } = this.#options;
    const request = { caller: callerMessage(call.caller), inode, name: nameOf(name) };
    try {
      const ask = (id: number) => ({ ...request, session: id });
      return (await session.ask(methods.getXattr, ask, patience(call))).value;
    } catch (error) {
      if (codeOf(error) === 'NO_DATA') return undefined;
      throw error;
    }
  }

  async #change<M extends typeof methods.setXattr | typeof methods.removeXattr>(
    method: M,
    inode: InodeId,
    request: ReturnType<M['requestType']['create']>,
    call: Call,
    repeatable: boolean,
  ): Promise<Attributes> {
    const { session, entries, states, known } = this.#options;
    const patience = this.#options.patience(call);
    const asked = known.asking();
    try {
      const answer = await session.command(method, request, call.caller, patience, repeatable);
      const attributes = await entries.exact(answer, call.caller, patience);
      known.xattrsChanged(inode);
      known.changed(attributes, asked);
      return states.find(inode)?.attributesSet(attributes, false) ?? attributes;
    } catch (error) {
      known.xattrsChanged(inode);
      known.unknown(inode);
      throw error;
    }
  }
}
