import { unreachable } from '../base/assert.ts';
import type { InodeId } from '../base/ids.ts';
import type { Result } from '../base/result.ts';
import type {
  Command,
  CommandBodies,
  CommandCase,
  CommandResult,
  CommandResults,
} from './metadata/commands.ts';
import type { ChangedItems, SessionNews, Unheard } from './session-news.ts';

/**
 * What an applied command is news of. Called in the order in which commands are applied, before any of them is answered: the
 * session that gave it learns from its answer what the others have to be told. Answers who has to hear of it before that.
 */
export function tellOfCommand(
  news: SessionNews,
  command: Command,
  result: Result<CommandResult>,
): Unheard[] | undefined {
  if (!result.ok) return undefined;
  const teller = new Teller(news, command, result.value);
  tell(teller, command);
  return teller.unheard();
}

function tell(teller: Teller, command: Command): void {
  const { $case, value } = command.body;
  switch ($case) {
    case 'createFile': {
      const { attributes, created } = teller.answer<'createFile'>();
      teller.learn(attributes.inode, value);
      if (created) teller.nameAdded(value);
      else teller.inode(attributes.inode);
      return;
    }
    case 'makeNode':
      teller.learn(teller.answer<'makeNode'>().inode, value);
      teller.nameAdded(value);
      return;
    case 'createUnnamed':
      teller.learn(teller.answer<'createUnnamed'>().inode);
      return;
    case 'makeLink': {
      const { replaced } = teller.answer<'makeLink'>();
      teller.learn(value.inode, value);
      teller.inode(value.inode);
      teller.nameAdded(value);
      if (replaced !== undefined) teller.inode(replaced.inode);
      return;
    }
    // Of a tree, what is below its name is told of by `tree-news.ts`.
    case 'unlink':
    case 'removeDirectory':
    case 'removeTree': {
      const { inode, linkCount } = teller.answer<'unlink'>().inode;
      teller.inode(inode);
      teller.nameGone(value, linkCount === 0 ? inode : 0);
      return;
    }
    case 'rename':
      tellOfRename(teller, value);
      return;
    case 'setAttributes':
    case 'setXattr':
    case 'removeXattr':
    case 'commitLength':
    case 'allocate':
      teller.learn(value.inode);
      teller.inode(value.inode);
      return;
    case 'shareExtents':
      teller.learn(value.target);
      teller.inode(value.target);
      return;
    // Nobody waits for others to hear of it: who reads changes nothing for them.
    case 'setAccessTimes':
      for (const inode of teller.answer<'setAccessTimes'>().inodes) teller.accessTime(inode);
      return;
    // Who has one open sees how many names it has. Nobody waits: what was to be seen of the tree, all have heard.
    case 'continueLong':
      for (const inode of teller.answer<'continueLong'>().files) teller.inode(inode);
      return;
    // Where the file's bytes are has changed: readers elsewhere took the place for a hole, or for part of another chunk.
    // Nobody waits for them to hear: the bytes are told of with the length, behind this.
    case 'addChunk':
    case 'sealExtent':
      teller.bytes(value.inode);
      return;
    case 'cloneExtent':
      teller.bytes(value.inode, value.session);
      return;
    // Of these nobody is answered who would keep it: versions are checked by servers, and what is reaped had no name.
    case 'format':
    case 'openSession':
    case 'closeSession':
    case 'addServer':
    case 'reserveWriters':
    case 'raiseVersion':
    case 'beginClone':
    case 'nameAppender':
    case 'reap':
    case 'forgetGarbage':
      return;
    default:
      unreachable($case);
  }
}

function tellOfRename(teller: Teller, body: CommandBodies['rename']): void {
  const { moved, other } = teller.answer<'rename'>();
  const from = { parent: body.parent, name: body.name };
  const to = { parent: body.newParent, name: body.newName };
  teller.learn(moved.inode, to);
  teller.inode(moved.inode);
  teller.nameAdded(to);
  if (other !== undefined) teller.inode(other.inode);
  if (body.exchange && other !== undefined) {
    teller.learn(other.inode, from);
    teller.nameAdded(from);
  } else if (body.whiteout === undefined) {
    teller.nameGone(from, 0);
  } else {
    teller.nameAdded(from);
  }
}

interface Place {
  readonly parent: InodeId;
  readonly name: Buffer;
}

class Teller {
  readonly #news: SessionNews;
  readonly #by: Command['context']['session'];
  readonly #answer: CommandResult;
  readonly #changed: { [K in keyof ChangedItems]: ChangedItems[K][number][] } = { inodes: [], names: [] };

  constructor(news: SessionNews, command: Command, answer: CommandResult) {
    this.#news = news;
    this.#by = command.context.session;
    this.#answer = answer;
  }

  /** The answer of a command of this kind. */
  answer<K extends CommandCase>(): CommandResults[K] {
    return this.#answer as CommandResults[K];
  }

  /** The session that gave the command knows this from its answer. */
  learn(inode: InodeId, place?: Place): void {
    this.#news.learntInode(this.#by, inode);
    if (place !== undefined) this.#news.learntName(this.#by, place.parent, place.name);
  }

  inode(inode: InodeId): void {
    this.#changed.inodes.push(inode);
    this.#news.inodeChanged(inode, this.#by);
  }

  /** `by`: the session that knows of it anyway. */
  bytes(inode: InodeId, by = this.#by): void {
    this.#news.inodeChanged(inode, by);
  }

  accessTime(inode: InodeId): void {
    this.#news.accessTimeChanged(inode, this.#by);
  }

  nameAdded(place: Place): void {
    this.#name(place, 0);
  }

  /** `removed`: the inode, when this was its last name. */
  nameGone(place: Place, removed: InodeId | 0): void {
    this.#name(place, removed);
  }

  /** Who may believe any of it to be as it was. */
  unheard(): Unheard[] | undefined {
    return this.#news.unheard(this.#changed, this.#by);
  }

  #name({ parent, name }: Place, removed: InodeId | 0): void {
    this.inode(parent);
    this.#changed.names.push({ parent, name });
    this.#news.nameChanged({ parent, name, removed }, this.#by);
  }
}
