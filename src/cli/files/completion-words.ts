import type { Command, Option } from 'commander';
import { inodeId } from '../../base/ids.ts';
import type { Call, GfsClient } from '../../client/api.ts';
import { FileType } from '../../rpc/messages.ts';
import { exactBytes, exactText } from './exact-text.ts';
import { CLUSTER_PREFIX, clusterPath } from './places.ts';
import { shown } from './shown-name.ts';

/** What may stand at a place of a command line. */
export type Wanted =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  /** Paths; `local` ones are the shell's business. `prefixed`: those of the cluster begin with gfs: here. */
  | { readonly kind: 'paths'; readonly local: boolean; readonly cluster: false | 'plain' | 'prefixed' };

const NOTHING: Wanted = { kind: 'words', words: [] };
const LOCAL: Wanted = { kind: 'paths', local: true, cluster: false };
const CLUSTER: Wanted = { kind: 'paths', local: false, cluster: 'plain' };
const EITHER: Wanted = { kind: 'paths', local: true, cluster: 'plain' };
const PREFIXED: Wanted = { kind: 'paths', local: true, cluster: 'prefixed' };

/** What a command's arguments are, the last one as often as it comes; of others nothing is known. */
const ARGUMENTS: Readonly<Record<string, readonly Wanted[]>> = {
  bench: [EITHER],
  ls: [CLUSTER],
  tree: [CLUSTER],
  stat: [CLUSTER],
  du: [CLUSTER],
  cat: [CLUSTER],
  getrange: [CLUSTER, NOTHING],
  put: [LOCAL, EITHER],
  get: [CLUSTER, EITHER],
  sync: [PREFIXED],
  cp: [CLUSTER],
  append: [CLUSTER, LOCAL],
  mkdir: [CLUSTER],
  mv: [CLUSTER],
  rm: [CLUSTER],
  touch: [CLUSTER],
  ln: [CLUSTER],
  chmod: [NOTHING, CLUSTER],
  chown: [NOTHING, CLUSTER],
};
const LOCAL_FILE_FLAGS: ReadonlySet<string> = new Set(['compare', 'config', 'data', 'mount', 'svg']);
const ENTRIES_MAX = 1000;
const NAME_BYTES_MAX = 255;
const SLASH = '/';

/** What may be the last of these words, which are those behind the program's name. */
export function wantedAt(program: Command, words: readonly string[]): Wanted {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  const commandIndex = before.findIndex((word) => !word.startsWith('-'));
  const command = program.commands.find((each) => each.name() === before[commandIndex]);
  if (commandIndex < 0) {
    const visible = program.createHelp().visibleCommands(program);
    return wordsFor(
      current,
      program,
      visible.map((each) => each.name()),
    );
  }
  if (command === undefined) return NOTHING;
  let argumentCount = 0;
  let flag: Option | undefined;
  let flagsEnded = false;
  for (const word of before.slice(commandIndex + 1)) {
    if (flag !== undefined) flag = undefined;
    else if (word === '--') flagsEnded = true;
    else if (flagsEnded || !word.startsWith('-') || word === '-') argumentCount += 1;
    else
      flag = command.options.find(
        (option) => option.required && (option.long === word || option.short === word),
      );
  }
  if (flag !== undefined) return LOCAL_FILE_FLAGS.has(flag.name()) ? LOCAL : NOTHING;
  if (!flagsEnded && current.startsWith('-')) return wordsFor(current, command, []);
  const choices = command.registeredArguments[argumentCount]?.argChoices;
  if (choices !== undefined) return wordsFor(current, command, choices);
  const wanted = ARGUMENTS[command.name()] ?? [];
  return wanted[Math.min(argumentCount, wanted.length - 1)] ?? NOTHING;
}

/** The value of a flag that has been given. */
export function givenValue(words: readonly string[], flag: string): string | undefined {
  const index = words.indexOf(flag);
  if (index >= 0 && index < words.length - 2) return words[index + 1];
  return words.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
}

/** Paths in the cluster that begin as a word does; directories end with a slash. */
export async function clusterPaths(
  client: GfsClient,
  word: string,
  cluster: 'plain' | 'prefixed',
  call: Call,
): Promise<string[]> {
  const prefix = word.startsWith(CLUSTER_PREFIX) ? CLUSTER_PREFIX : '';
  if (prefix === '' && cluster === 'prefixed')
    return CLUSTER_PREFIX.startsWith(word) ? [`${CLUSTER_PREFIX}/`] : [];
  const rest = word.slice(prefix.length);
  if (!rest.startsWith(SLASH)) return rest === '' ? [`${prefix}${SLASH}`] : [];
  const directory = rest.slice(0, rest.lastIndexOf(SLASH) + 1);
  const begun = exactBytes(rest.slice(directory.length));
  const { inode } = await client.resolve(clusterPath(directory), {}, call);
  const options = { ...(begun.length === 0 ? {} : { after: boundBefore(begun) }), limit: ENTRIES_MAX };
  const { entries } = await client.list(inodeId(inode), options, call);
  return entries
    .filter(({ name }) => name.subarray(0, begun.length).equals(begun) && isPlain(name))
    .map(({ name, type }) => {
      const end = type === FileType.FILE_TYPE_DIRECTORY ? SLASH : '';
      return `${prefix}${directory}${exactText(name)}${end}`;
    });
}

function wordsFor(current: string, command: Command, words: readonly string[]): Wanted {
  const flags = command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ short, long }) => [long, short]);
  const all = current.startsWith('-') ? flags.filter((flag) => flag !== undefined) : words;
  return { kind: 'words', words: all.filter((word) => word.startsWith(current)) };
}

/** Shells take one candidate a line. */
function isPlain(name: Buffer): boolean {
  return shown(name) === name.toString();
}

/** No name comes after these bytes and before any that begins with `begun`. */
function boundBefore(begun: Buffer): Buffer {
  const bound = Buffer.alloc(NAME_BYTES_MAX, 0xff);
  bound.set(begun);
  bound[begun.length - 1] = (begun.at(-1) ?? 1) - 1;
  return bound;
}
