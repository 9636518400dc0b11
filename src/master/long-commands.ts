import type { Env } from '../base/env.ts';
import type { InodeId } from '../base/ids.ts';
import { type Result, unwrap } from '../base/result.ts';
import { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import {
  type Command,
  type CommandResult,
  type CommandResults,
  INTERNAL,
} from '../core/metadata/commands.ts';
import { TreeNews } from '../core/tree-news.ts';
import { Background } from './background.ts';
import type { Metadata } from './metadata.ts';
import type { NewsChannels } from './news-channels.ts';
import type { OrphanReaper } from './orphan-reaper.ts';

const RETRY_DELAY_MS = 1 * SECOND_MS;
/** Things that are done in one command: a millisecond or two, for which everybody else waits. */
const STEP_COUNT = 128;
/** Between rounds, so that clients' work comes first. */
const PAUSE_MS = 2;
/** Names that are told of at once. */
const TELL_COUNT = 500;

/**
 * Carries long commands on (design, section 4). Which there are, and how far each is, the tables say: a command of the log begins
 * one, each step is a command too, and the last one ends it. So a restarted master finds them and goes on. What is begun is not
 * continued before those who believe something of a tree have been told that it is gone.
 */
export class LongCommands {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #channels: NewsChannels;
  readonly #reaper: OrphanReaper;
  readonly #work: Background;
  readonly #tasks: TaskGroup;
  /** Begun by this master's process: how many things each has to do. */
  readonly #begun = new Map<InodeId, Begun>();
  #closed = false;

  constructor(parts: { env: Env; metadata: Metadata; channels: NewsChannels; reaper: OrphanReaper }) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#channels = parts.channels;
    this.#reaper = parts.reaper;
    this.#tasks = new TaskGroup((error) =>
      parts.env.log.error({ error }, 'telling of a removed tree failed'),
    );
    this.#work = new Background(parts.env, {
      name: 'continuing long commands',
      retryDelayMs: RETRY_DELAY_MS,
      round: () => this.#round(),
    });
    if (parts.metadata.state.longCommands().length > 0) this.#work.wake();
  }

  /** Things to do in all; 0: not known. */
  countOf(id: InodeId): number {
    return this.#begun.get(id)?.count ?? 0;
  }

  /** Resolves when all is told of a tree whose removal this process began; undefined: it is not one, or has ended. */
  async told(id: InodeId): Promise<{ readonly count: number } | undefined> {
    const begun = this.#begun.get(id);
    await begun?.telling;
    return begun;
  }

  /** Called for each command as it is applied, before it is answered. */
  commandApplied({ context, body }: Command, result: Result<CommandResult>): void {
    if (!result.ok) return;
    if (body.$case === 'continueLong') {
      const { files, ended } = result.value as CommandResults['continueLong'];
      this.#reaper.consider(files);
      if (ended) this.#begun.delete(body.value.id);
    }
    if (body.$case !== 'removeTree') return;
    const { inode: id } = (result.value as CommandResults['removeTree']).inode;
    // A command that is sent again is applied again, and changes nothing.
    if (this.#metadata.state.longCommand(id) === undefined || this.#begun.has(id)) return;
    const begun: Begun = { count: 0, isTold: false, telling: undefined };
    this.#begun.set(id, begun);
    this.#tasks.run(() => {
      begun.telling = this.#tell(id, begun, context);
      return begun.telling;
    });
  }

  /** Nothing is told or continued any more; resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tasks.drain();
    await this.#work.close();
  }

  async #tell(id: InodeId, begun: Begun, context: Command['context']): Promise<void> {
    const { news } = this.#channels;
    const tree = new TreeNews(this.#metadata.state, news, id);
    while (!tree.isDone && !this.#closed) {
      tree.step(TELL_COUNT);
      if (!tree.isDone) await this.#env.sleep(0);
    }
    if (tree.unheard.length > 0) this.#channels.hold(context, tree.unheard);
    begun.count = tree.count;
    begun.isTold = true;
    this.#work.wake();
  }

  /** A step of each. */
  async #round(): Promise<number | undefined> {
    const { state } = this.#metadata;
    const ready = state.longCommands().filter(({ id }) => this.#begun.get(id)?.isTold !== false);
    for (const { id } of ready) {
      unwrap(await this.#metadata.execute(INTERNAL, 'continueLong', { id, count: STEP_COUNT }));
    }
    return ready.some(({ id }) => state.longCommand(id) !== undefined) ? PAUSE_MS : undefined;
  }
}

interface Begun {
  /** Known when all is told. */
  count: number;
  isTold: boolean;
  telling: Promise<void> | undefined;
}
