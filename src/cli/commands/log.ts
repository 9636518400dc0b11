import type { Command } from 'commander';
import { GfsError } from '../../base/errors.ts';
import { COMPONENTS, type Component, LOG_LEVELS, type LogLevel } from '../../base/log.ts';
import { LogsDefinition } from '../../rpc/messages.ts';
import { checked, parseChoice, UsageError } from '../program.ts';
import { addCommonKeys, askServer, print, realWorld, type World } from './common.ts';
import { addDaemonKeys, type Daemon, type DaemonKeys, daemonsOf, eachDaemon } from './daemons.ts';
import { table } from './table.ts';

const { getLevels, setLevel } = LogsDefinition.methods;
const NAMES = Object.keys(COMPONENTS) as Component[];

interface Keys extends DaemonKeys {
  readonly json?: boolean;
}

interface Levels {
  readonly daemon: string;
  readonly address: string;
  readonly components: readonly { component: string; level: string; about: string }[];
}

export function addLog(gfs: Command): void {
  const command = gfs
    .command('log')
    .description('show what the daemons write to their logs, or have them write more or less')
    .argument(
      '[level]',
      `the least important lines: ${LOG_LEVELS.join(', ')}`,
      checked(parseChoice(LOG_LEVELS)),
    )
    .argument('[component]', 'of this part of the daemon alone', checked(parseChoice(NAMES)));
  addDaemonKeys(command, 'of the master and all its chunkservers (default: of the master)');
  addCommonKeys(command, { json: true });
  command.addHelpText(
    'after',
    `
Without a level it shows which they are. One that is set counts until the daemon
ends; --log-level is the one that a daemon begins with. At debug, rpc has a line
for each call, with the name of the request, which is the same in the logs of
all daemons that work on it.

Example: gfs log debug rpc --all`,
  );
  command.action(async (level: LogLevel | undefined, component: Component | undefined, keys: Keys) => {
    if (keys.all && keys.server !== undefined) throw new UsageError('--server and --all: one of the two');
    const world = realWorld();
    const daemons = await daemonsOf(world, keys);
    if (level === undefined) {
      const levels = await eachDaemon(daemons, (daemon) => levelsOf(world, daemon));
      print(levels, keys.json, (shown) => shown.map(text).join('\n\n'));
      return;
    }
    const changed = await eachDaemon(daemons, (daemon) => change(world, daemon, level, component, keys));
    const levels = changed.filter((one) => one !== undefined);
    if (levels.length === 0 && changed.length > 0) {
      throw new GfsError('NOT_FOUND', `none of these daemons has a component "${component}"`);
    }
    const what = `${component ?? 'all'} at ${level}`;
    print(levels, keys.json, (shown) =>
      shown.map(({ daemon, address }) => `${daemon} at ${address}: ${what}`).join('\n'),
    );
  });
}

/** Undefined: among several, one that has no such component. */
async function change(
  world: World,
  daemon: Daemon,
  level: LogLevel,
  component: Component | undefined,
  { all }: Keys,
): Promise<Levels | undefined> {
  if (all && component !== undefined) {
    const { components } = await levelsOf(world, daemon);
    if (!components.some((known) => known.component === component)) return undefined;
  }
  await askServer(world, daemon.address, setLevel, { level, component: component ?? '' });
  return await levelsOf(world, daemon);
}

async function levelsOf(world: World, { name, address }: Daemon): Promise<Levels> {
  const { message } = await askServer(world, address, getLevels, {});
  return { daemon: name ?? message.program, address, components: message.components };
}

function text({ daemon, address, components }: Levels): string {
  const rows = components.map(({ component, level, about }) => [component, level, about]);
  return `${daemon} at ${address}\n${table(['COMPONENT', 'LEVEL', 'LINES ABOUT'], rows)}`;
}
