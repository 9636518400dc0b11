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
import type { Rules } from '../core/rules.ts';
import { TreeNews } from '../core/tree-news.ts';
import { Background } from './background.ts';
import type { MasterConfig } from './master-parts.ts';
import type { Metadata } from './metadata.ts';
import type { NewsChannels } from './news-channels.ts';
import type { OrphanReaper } from './orphan-reaper.ts';

const RETRY_DELAY_MS = 1 * SECOND_MS;
/** To look at a name takes so much less than to remove it. */
export const LOOKS_PER_THING = 4;
/** Between rounds, so that clients' work comes first. */
const PAUSE_MS = 2;

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
  readonly #stepCount: number;
  /** What an earlier process began is gone on with. */
  readonly #takesOver: boolean;
  readonly #work: Background;
  readonly #tasks: TaskGroup;
  /** Begun by this master's process: how many things each has to do. */
  readonly #begun = new Map<InodeId, Begun>();
  #closed = false;

  constructor(parts: {
    env: Env;
    config: MasterConfig;
    metadata: Metadata;
    channels: NewsChannels;
    reaper: OrphanReaper;
    withoutRules: Rules;
  }) {
    this.#env = parts.env;
    this.#stepCount = parts.config.longStepCount;
    this.#metadata = parts.metadata;
    this.#channels = parts.channels;
    this.#reaper = parts.reaper;
    this.#tasks = new TaskGroup((error) =>
      parts.env.log.of('metadata').error({ error }, 'telling of a removed tree failed'),
    );
    this.#work = new Background(parts.env, {
      name: 'continuing long commands',
      component: 'metadata',
      retryDelayMs: RETRY_DELAY_MS,
      round: () => this.#round(),
    });
    this.#takesOver = !parts.withoutRules.has('T1');
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
      tree.step(LOOKS_PER_THING * this.#stepCount);
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
    const ready = state.longCommands().filter(({ id }) => this.#begun.get(id)?.isTold ?? this.#takesOver);
    for (const { id } of ready) {
      unwrap(await this.#metadata.execute(INTERNAL, 'continueLong', { id, count: this.#stepCount }));
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
