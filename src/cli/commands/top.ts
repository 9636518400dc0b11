import type { Command } from 'commander';
import { GfsError, messageOf } from '../../base/errors.ts';
import { parseSpan, SECOND_MS } from '../../base/units.ts';
import { MasterDefinition, type ServerStatus, type StatusResponse } from '../../rpc/messages.ts';
import { addKey } from '../program.ts';
import { addCommonKeys, askMaster, type CommonKeys, realWorld, type World } from './common.ts';
import { bytesLine, mutationsLine, operationsLine, readsLine, trafficTable } from './traffic.ts';

/** The master would do little else otherwise. */
const INTERVAL_MS_MIN = 100;
const CURSOR_HOME = '\x1b[H';
const ERASE_LINE = '\x1b[K';
const ERASE_BELOW = '\x1b[J';

interface Keys extends CommonKeys {
  readonly interval: number;
}

interface Look {
  readonly atMs: number;
  readonly status: StatusResponse;
  readonly servers: readonly ServerStatus[];
}

export function addTop(gfs: Command): void {
  const command = gfs
    .command('top')
    .description('show what passes through each chunkserver, again and again, until Ctrl-C');
  addKey(command, '--interval <span>', 'how often', {
    parse: parseInterval,
    default: SECOND_MS,
    defaultText: '1s',
  });
  addCommonKeys(command, { json: true });
  command.addHelpText(
    'after',
    `
The figures are of the last five seconds: averages, and of the times that
clients' reads and mutations took at a server what half of them (p50) and 99 of
100 (p99) did not exceed. With --json each look is an object on a line of its
own.

Example: gfs top --interval 5s`,
  );
  command.action(async (keys: Keys) => {
    const end = () => process.exit(0);
    process.on('SIGINT', end);
    process.on('SIGTERM', end);
    // The reader went away (`gfs top | head`): it has seen enough.
    process.stdout.on('error', end);
    await watch(realWorld(), keys);
  });
}

/** A master that does not answer ends it at the first look alone: later on it may be back soon. */
async function watch(world: World, { master, interval, json }: Keys): Promise<never> {
  const show = process.stdout.isTTY && !json ? redraw : append;
  for (let shown = false; ; shown = true) {
    try {
      const seen = await look(world, master);
      show(json ? JSON.stringify(seen) : text(seen));
    } catch (error) {
      if (!shown) throw error;
      if (json) process.stderr.write(`gfs: ${messageOf(error)}\n`);
      else show(`${heading(world.env.nowMs())}${messageOf(error)}\n`);
    }
    await world.env.sleep(interval);
  }
}

async function look(world: World, masters: readonly string[]): Promise<Look> {
  const [status, { servers }] = await Promise.all([
    askMaster(world, masters, MasterDefinition.methods.status, {}),
    askMaster(world, masters, MasterDefinition.methods.listServers, {}),
  ]);
  return { atMs: world.env.nowMs(), status, servers };
}

function text({ atMs, status, servers }: Look): string {
  const { serverCountAlive, serverCount, sessionCount, traffic } = status;
  const lines = [
    `${heading(atMs)}${serverCountAlive} of ${serverCount} servers alive, clients: ${sessionCount}`,
    ...(traffic === undefined ? [] : totals(traffic)),
  ];
  return `${lines.join('\n')}\n\n${trafficTable(servers, traffic)}\n`;
}

function totals(traffic: NonNullable<StatusResponse['traffic']>): string[] {
  return [
    `traffic: ${bytesLine(traffic)}`,
    `operations: ${operationsLine(traffic)}`,
    `reads: ${readsLine(traffic)}`,
    `mutations: ${mutationsLine(traffic)}`,
  ];
}

function append(shown: string): void {
  process.stdout.write(`${shown}\n`);
}

/** Over what is there: clearing the screen first would flicker. */
function redraw(shown: string): void {
  const lines = shown.split('\n').map((line) => `${line}${ERASE_LINE}\n`);
  // What does not fit would scroll, and the next look would begin in the midst of it.
  lines.splice(process.stdout.rows - 1);
  process.stdout.write(`${CURSOR_HOME}${lines.join('')}${ERASE_BELOW}`);
}

/** With the time of day here. */
function heading(atMs: number): string {
  return `gfs top  ${new Date(atMs).toTimeString().slice(0, 8)}  `;
}

function parseInterval(span: string): number {
  const intervalMs = parseSpan(span);
  if (intervalMs >= INTERVAL_MS_MIN) return intervalMs;
  throw new GfsError('INVALID_ARGUMENT', `"${span}" is too short: at least ${INTERVAL_MS_MIN}ms`);
}
