import { refuse } from '../../base/result.ts';
import { dropLink } from './apply-remove.ts';
import { forbiddenReplacement, targetOf } from './apply-rename.ts';
import { withLink } from './links.ts';
import { type Prepare, ready } from './prepared.ts';
import { FileType, type Inode } from './rows.ts';

/** A file keeps no more hard links than this (as on ext4). */
export const LINK_COUNT_MAX = 65_000;

/** A first name or a further one, also in place of something: the name is never free in between, nor is there another one. */
export const prepareMakeLink: Prepare<'makeLink'> = (state, body, { context: { caller }, time }) => {
  const { parent, name, replace } = body;
  const wanted = { newParent: parent, newName: name, noReplace: !replace, exchange: false };
  const target = targetOf(state, caller, wanted);
  if (!target.ok) return target;
  const { directory, inode: other } = target.value;
  const inode = state.tables.inode(body.inode);
  const linkCount = inode === undefined ? 0 : state.detached.linkCountOf(inode);
  const unnamed = inode?.linkCount === 0 ? state.tables.orphan(inode.inode)?.unnamed : undefined;
  if (inode === undefined || (linkCount === 0 && !unnamed?.linkable))
    return refuse('NOT_FOUND', `no inode ${body.inode} with a name`);
  if (inode.type === FileType.DIRECTORY) return refuse('NOT_PERMITTED', 'a directory has one name');
  if (other?.inode === inode.inode) return ready(() => ({ linked: inode, replaced: undefined }));
  const forbidden = forbiddenReplacement(state, caller, { moved: inode, newDirectory: directory, other });
  if (forbidden) return forbidden;
  if (inode.linkCount >= LINK_COUNT_MAX)
    return refuse('TOO_MANY_LINKS', `inode ${inode.inode} has ${inode.linkCount} links`);
  return ready(() => {
    const replaced = other && dropLink(state, other, { directory: parent, time });
    if (inode.linkCount === 0) state.tables.removeOrphan(inode.inode);
    const linked: Inode = { ...withLink(state, inode, parent), ctime: time };
    state.tables.putInode(linked);
    state.tables.putDirent(parent, name, { inode: inode.inode, type: inode.type });
    state.tables.putInode({ ...directory, mtime: time, ctime: time });
    return { linked, replaced };
  });
};
