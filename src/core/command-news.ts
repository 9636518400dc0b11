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
import type { SessionNews } from './session-news.ts';

/**
 * What an applied command is news of. Called in the order in which commands are applied, before any of them is answered: the
 * session that gave it learns from its answer what the others have to be told.
 */
export function tellOfCommand(news: SessionNews, command: Command, result: Result<CommandResult>): void {
  if (!result.ok) return;
  const teller = new Teller(news, command, result.value);
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
    case 'makeLink':
      teller.learn(value.inode, value);
      teller.inode(value.inode);
      teller.nameAdded(value);
      return;
    case 'unlink':
    case 'removeDirectory': {
      const { inode, linkCount } = teller.answer<'unlink'>().inode;
      teller.inode(inode);
      teller.nameGone(value, linkCount === 0 ? inode : 0);
      return;
    }
    case 'rename':
      tellOfRename(teller, value);
      return;
    case 'setAttributes':
    case 'commitLength':
    case 'allocate':
      teller.learn(value.inode);
      teller.inode(value.inode);
      return;
    // Where the file's bytes are has changed: readers elsewhere took the place for a hole, or for part of another chunk.
    case 'addChunk':
    case 'sealExtent':
      teller.inode(value.inode);
      return;
    // Of these nobody is answered who would keep it: versions are checked by servers, and what is reaped had no name.
    case 'format':
    case 'openSession':
    case 'closeSession':
    case 'addServer':
    case 'reserveWriters':
    case 'raiseVersion':
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
  } else {
    teller.nameGone(from, 0);
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
    this.#news.inodeChanged(inode, this.#by);
  }

  nameAdded({ parent, name }: Place): void {
    this.#news.inodeChanged(parent, this.#by);
    this.#news.nameChanged({ parent, name, removed: 0 }, this.#by);
  }

  /** `removed`: the inode, when this was its last name. */
  nameGone({ parent, name }: Place, removed: InodeId | 0): void {
    this.#news.inodeChanged(parent, this.#by);
    this.#news.nameChanged({ parent, name, removed }, this.#by);
  }
}
