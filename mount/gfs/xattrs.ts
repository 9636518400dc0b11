import { codeOf } from '../../src/base/errors.ts';
import { inodeId } from '../../src/base/ids.ts';
import { ENODATA, EOPNOTSUPP, ErrnoError } from '../errno.ts';
import type { Caller, Xattrs } from '../file-system.ts';
import { XATTR_CREATE, XATTR_REPLACE } from '../wire/numbers.ts';
import type * as requests from '../wire/requests.ts';
import type { GfsContext } from './context.ts';
import { staleWhenGone } from './stale.ts';

/** Asked for here only where no SELinux is: its kernel knows the labels of a mount's files by itself. */
const LABEL = Buffer.from('security.selinux');
/** What ends a name in a list. */
const END = Buffer.alloc(1);

/** Extended attributes, ACLs among them. The kernel has checked who may see which, but for names in lists. */
export class GfsXattrs implements Xattrs {
  readonly #context: GfsContext;

  constructor(context: GfsContext) {
    this.#context = context;
  }

  absentXattr({ node, name }: requests.GetXattr): number | undefined {
    return this.#context.client.hasNoXattr(inodeId(node), name) ? absence(name) : undefined;
  }

  async getXattr({ node, name }: requests.GetXattr, caller: Caller): Promise<Uint8Array> {
    const { client, callers } = this.#context;
    const call = await callers.call(caller);
    try {
      return await staleWhenGone(client.getXattr(inodeId(node), name, call));
    } catch (error) {
      throw codeOf(error) === 'NO_DATA' ? new ErrnoError(absence(name), 'no such attribute') : error;
    }
  }

  async listXattrs({ node }: requests.ListXattrs, caller: Caller): Promise<Uint8Array> {
    const { client, callers } = this.#context;
    const names = await staleWhenGone(client.listXattrs(inodeId(node), await callers.call(caller)));
    return Buffer.concat(names.flatMap((name) => [name, END]));
  }

  async setXattr({ node, name, value, flags }: requests.SetXattr, caller: Caller): Promise<void> {
    const { client, callers } = this.#context;
    const how = { create: (flags & XATTR_CREATE) !== 0, replace: (flags & XATTR_REPLACE) !== 0 };
    await staleWhenGone(client.setXattr(inodeId(node), name, value, how, await callers.call(caller)));
  }

  async removeXattr({ node, name }: requests.RemoveXattr, caller: Caller): Promise<void> {
    const { client, callers } = this.#context;
    await staleWhenGone(client.removeXattr(inodeId(node), name, await callers.call(caller)));
  }
}

/** Of labels a program like `ls -l` asks for those of a thousand files, unless it is told once that here are none. */
function absence(name: Uint8Array): number {
  return LABEL.equals(name) ? EOPNOTSUPP : ENODATA;
}
