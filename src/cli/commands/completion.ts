import { Argument, type Command } from 'commander';
import { GfsError } from '../../base/errors.ts';
import { SECOND_MS } from '../../base/units.ts';
import { COMPLETION_SCRIPTS } from '../files/completion-scripts.ts';
import { clusterPaths, givenValue, wantedAt } from '../files/completion-words.ts';
import { exactBytes } from '../files/exact-text.ts';
import { StandardOutput } from '../files/standard-streams.ts';
import { addKey, parseAddresses, parseSpan } from '../program.ts';
import { addCommonKeys, type CommonKeys, ownIdentity, realWorld, withClient } from './common.ts';

/** A person who presses Tab waits no longer. */
const PATIENCE_MS = 1 * SECOND_MS;
const LINE_END = Buffer.from('\n');

interface CompleteKeys extends CommonKeys {
  readonly patience: number;
}

export function addCompletion(gfs: Command): void {
  const command = gfs
    .command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(COMPLETION_SCRIPTS)))
    .description('print what makes a shell complete commands, flags and paths in the cluster');
  command.addHelpText('after', '\nExample: echo "source <(gfs completion bash)" >> ~/.bashrc');
  command.action(async (shell: string) => {
    await new StandardOutput(realWorld().env).bytes([Buffer.from(COMPLETION_SCRIPTS[shell] ?? '')]);
  });
}

/** What the scripts ask; no person does. */
export function addComplete(gfs: Command): void {
  const command = gfs.command('__complete', { hidden: true }).argument('[words...]', 'of a command line');
  addKey(command, '--patience <span>', 'how long the master may take', {
    parse: parseSpan,
    default: PATIENCE_MS,
    env: 'GFS_COMPLETION_PATIENCE',
  });
  addCommonKeys(command, { json: false });
  command.action(async (words: string[], keys: CompleteKeys) => {
    const wanted = wantedAt(gfs, words);
    const current = words.at(-1) ?? '';
    const candidates =
      wanted.kind === 'words' ? wanted.words : await paths(keys, words, current, wanted.cluster);
    const lines = candidates.map((candidate) =>
      Buffer.concat([Buffer.from('w '), exactBytes(candidate), LINE_END]),
    );
    if (wanted.kind === 'paths' && wanted.local) lines.push(Buffer.from('f\n'));
    await new StandardOutput(realWorld().env).bytes(lines);
  });
}

async function paths(
  { master, patience }: CompleteKeys,
  words: readonly string[],
  current: string,
  cluster: false | 'plain' | 'prefixed',
): Promise<readonly string[]> {
  if (cluster === false) return [];
  const world = realWorld();
  const call = { caller: ownIdentity(), deadlineMs: world.env.monotonicMs() + patience };
  try {
    const given = givenValue(words, '--master');
    const masters = given === undefined ? master : parseAddresses(given);
    const ask = { patienceMs: patience };
    return await withClient(
      world,
      masters,
      'gfs completion',
      (client) => clusterPaths(client, current, cluster, call),
      ask,
    );
  } catch (error) {
    // There is nothing to offer, and nobody reads why.
    if (error instanceof GfsError) return [];
    throw error;
  }
}
