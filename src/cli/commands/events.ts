import type { Command } from 'commander';
import { COMPONENTS, type Component, LOG_LEVELS, type LogLevel } from '../../base/log.ts';
import { SECOND_MS } from '../../base/units.ts';
import {
  type Event,
  type ListEventsRequest,
  type ListEventsResponse,
  LogsDefinition,
} from '../../rpc/messages.ts';
import { addKey, parseChoice, parseCount } from '../program.ts';
import { addCommonKeys, realWorld, type World } from './common.ts';
import {
  addDaemonKeys,
  type Daemon,
  type DaemonKeys,
  daemonsOf,
  eachDaemon,
  tellOfFailure,
} from './daemons.ts';
import { EventLines, type TimedEvent } from './event-lines.ts';

const { listEvents } = LogsDefinition.methods;
const LIMIT_DEFAULT = 100;
/** More than any daemon keeps. */
const LIMIT_MAX = 100_000;
const PATIENCE_MS = 10 * SECOND_MS;
/** What comes from several daemons within that time is put in order. */
const GATHER_MS = 250;
/** A daemon that is away is asked again so often. */
const AGAIN_MS = 1 * SECOND_MS;

interface Keys extends DaemonKeys {
  readonly follow?: boolean;
  readonly level: LogLevel;
  readonly component?: Component;
  readonly limit: number;
  readonly json?: boolean;
}

export function addEvents(gfs: Command): void {
  const command = gfs
    .command('events')
    .description('show what happened lately at the master and all its chunkservers');
  command.option('--follow', 'go on with what comes, until Ctrl-C');
  addKey<LogLevel>(command, '--level <level>', `the least important ones: ${LOG_LEVELS.join(', ')}`, {
    parse: parseChoice(LOG_LEVELS),
    default: 'info',
  });
  addKey(command, '--component <name>', 'of this part of the daemons alone, as "gfs log" shows them', {
    parse: parseChoice(Object.keys(COMPONENTS) as Component[]),
  });
  addKey(command, '--limit <n>', 'the last ones of those that are known', {
    parse: parseCount({ min: 1, max: LIMIT_MAX }),
    default: LIMIT_DEFAULT,
  });
  addDaemonKeys(command);
  addCommonKeys(command, { json: true });
  command.addHelpText(
    'after',
    `
Each daemon keeps its last 2000 lines in memory, or 1 MiB of them, at info and
above, whether or not its log shows them; and as many at debug, if "gfs log"
lets them through. On a terminal a line is cut where the window ends; with
--json each is an object on a line of its own.

Example: gfs events --follow --level warn`,
  );
  command.action(async (keys: Keys) => {
    const end = () => process.exit(0);
    process.on('SIGINT', end);
    process.on('SIGTERM', end);
    // The reader went away (`gfs events | head`): it has seen enough.
    process.stdout.on('error', () => process.exit(0));
    const world = realWorld();
    const daemons = await daemonsOf(world, { ...keys, all: true });
    const lines = new EventLines({ json: keys.json === true, nowMs: world.env.nowMs() });
    if (keys.follow) await follow(world, daemons, keys, lines);
    else lines.print((await eachDaemon(daemons, (daemon) => lately(world, daemon, keys))).flat(), keys.limit);
  });
}

async function lately({ env, network }: World, daemon: Daemon, keys: Keys): Promise<TimedEvent[]> {
  const connection = network.connect(daemon.address);
  try {
    const stream = connection.stream(listEvents, { deadlineMs: env.monotonicMs() + PATIENCE_MS });
    await stream.send(requestOf(keys, false));
    stream.end();
    const found: TimedEvent[] = [];
    for await (const { message } of stream.answers) found.push(...ofDaemon(daemon, message.events));
    return found;
  } finally {
    await connection.close();
  }
}

/** Those that are there first; from then on each as it comes. Ends only if there is a single daemon, and it cannot be had. */
async function follow(
  world: World,
  daemons: readonly Daemon[],
  keys: Keys,
  lines: EventLines,
): Promise<void> {
  let waiting: TimedEvent[] = [];
  let behind = daemons.length;
  const print = () => {
    lines.print(waiting, behind === 0 ? waiting.length : keys.limit);
    waiting = [];
  };
  const caughtUp = () => {
    behind -= 1;
    if (behind === 0) print();
  };
  const watching = daemons.map((daemon) =>
    watch(world, daemon, keys, {
      isAlone: daemons.length === 1,
      caughtUp,
      onEvents: (events) => {
        waiting.push(...events);
        if (behind > 0 || waiting.length > events.length) return;
        world.env.setTimer(GATHER_MS, print);
      },
    }),
  );
  await Promise.all(watching);
}

interface Watcher {
  readonly isAlone: boolean;
  /** Once: all that was there has been told, or the daemon cannot be had. */
  readonly caughtUp: () => void;
  readonly onEvents: (events: readonly TimedEvent[]) => void;
}

/** A daemon that goes away comes back, perhaps as another process: what it says then is known by its time. */
async function watch(
  { env, network }: World,
  daemon: Daemon,
  keys: Keys,
  { isAlone, caughtUp, onEvents }: Watcher,
): Promise<never> {
  let told = { timeMs: 0, number: 0 };
  let isFirst = true;
  let isAway = false;
  const settle = () => {
    if (isFirst) caughtUp();
    isFirst = false;
  };
  const take = ({ events, missed }: ListEventsResponse) => {
    isAway = false;
    if (missed) process.stderr.write(`gfs: ${nameOf(daemon)}: some came too fast, and are left out\n`);
    const fresh = events.filter(({ timeMs, number }) => timeMs > told.timeMs || number > told.number);
    told = fresh.at(-1) ?? told;
    if (fresh.length > 0) onEvents(ofDaemon(daemon, fresh));
  };
  const connection = network.connect(daemon.address);
  for (;;) {
    try {
      const stream = connection.stream(listEvents);
      await stream.send(requestOf(keys, true));
      stream.end();
      for await (const { message } of stream.answers) {
        take(message);
        if (message.caughtUp) settle();
      }
    } catch (error) {
      if (isAlone && isFirst) throw error;
      if (!isAway) tellOfFailure(daemon, error);
      isAway = true;
      settle();
    }
    await env.sleep(AGAIN_MS);
  }
}

function requestOf({ level, component, limit }: Keys, follow: boolean): ListEventsRequest {
  return { level, component: component ?? '', limit, follow };
}

function ofDaemon(daemon: Daemon, events: readonly Event[]): TimedEvent[] {
  return events.map((event) => ({ daemon: nameOf(daemon), event }));
}

function nameOf({ name, address }: Daemon): string {
  return name ?? address;
}
