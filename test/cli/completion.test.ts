// What is offered at the end of a command line: by the program, and by shells with the scripts that it prints.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { GFS } from '../e2e/cluster.ts';
import { sharedCommands } from './file-commands.ts';

const withCommands = sharedCommands('1MiB');

withCommands('commands, flags and paths in the cluster are completed', async (t, commands) => {
  await commands.gfs('mkdir', '-p', '/complete/alpha beta', '/complete/alps');
  await commands.call(['put', '-', '/complete/also'], { input: '' });
  await commands.call(['put', '-', '/complete/other\nline'], { input: '' });
  const check = async (words: string[], expected: string) =>
    t.is(await commands.gfs('__complete', '--patience', '30s', '--', ...words), expected, words.join(' '));
  await check(['ge'], 'w getrange\nw get\n');
  await check(['ls', '--l'], 'w --long\n');
  await check(['completion', ''], 'w bash\nw zsh\nw fish\n');
  await check(['ls', '/compl'], 'w /complete/\n');
  await check(['ls', '-l', '/complete/al'], 'w /complete/alpha beta/\nw /complete/alps/\nw /complete/also\n');
  await check(['cat', '/complete/o'], '');
  await check(['cat', '/none/o'], '');
  await check(['chmod', '/'], '');
  await check(['chmod', '0755', '/complete/alp'], 'w /complete/alpha beta/\nw /complete/alps/\n');
  await check(['put', 'x'], 'f\n');
  await check(['put', 'x', '/complete/als'], 'w /complete/also\nf\n');
  await check(['sync', 'x', 'gf'], 'w gfs:/\nf\n');
  await check(['sync', 'x', 'gfs:/compl'], 'w gfs:/complete/\nf\n');
  await check(['ls', '--config', ''], 'f\n');
  t.is(await commands.gfs('__complete', '--', 'ls', '--master', '127.0.0.1:1', '/'), '');
  await check(['nonsense', ''], '');
});

withCommands('bash offers what it is told, quoted, and local files', async (t, commands) => {
  mkdirSync(join(commands.directory, 'local dir'));
  writeFileSync(join(commands.directory, 'local file'), '');
  const offered = async (...words: string[]) => {
    const list = ['gfs', ...words].map((word) => `'${word}'`).join(' ');
    const { out, err } = await commands.shell(`
      export GFS_COMPLETION_PATIENCE=30s; source <(gfs completion bash); COMP_WORDS=(${list}) COMP_CWORD=${words.length}
      _gfs; printf '%s\\n' "\${COMPREPLY[@]}"`);
    t.is(err, '');
    return out.toString().split('\n').sort().join('\n').trimStart();
  };
  t.is(await offered('l'), 'ln\nlog\nls');
  t.is(await offered('ls', '/complete/alp'), '/complete/alpha\\ beta/\n/complete/alps/');
  t.is(await offered('ls', '/complete/alpha\\ b'), '/complete/alpha\\ beta/');
  // As bash splits gfs:/compl.
  t.is(await offered('sync', 'x', 'gfs', ':', '/compl'), '/complete/');
  t.is(await offered('put', 'local'), 'local\\ dir/\nlocal\\ file');
});

/** A line that somebody types, what he is offered, and the line when he chose, or could not. */
const TYPED: readonly (readonly [line: string, offered: readonly string[], becomes: string])[] = [
  ['gfs getr', ['getrange'], 'gfs getrange '],
  ['gfs ls --l', ['--long'], 'gfs ls --long '],
  ['gfs ls /complete/alph', ['/complete/alpha beta/'], 'gfs ls /complete/alpha\\ beta/'],
  ['gfs ls /complete/alpha\\ b', ['/complete/alpha beta/'], 'gfs ls /complete/alpha\\ beta/'],
  ['gfs cat /complete/also', ['/complete/also'], 'gfs cat /complete/also '],
  ['gfs sync x gfs:/compl', ['gfs:/complete/'], 'gfs sync x gfs:/complete/'],
  ['gfs put local\\ f', ['local file'], 'gfs put local\\ file '],
  ['gfs nonsense x', [], 'gfs nonsense x'],
];

/** Whether there is no such shell; then the test passes, and its log says so. */
function isMissing(t: ExecutionContext, shell: string): boolean {
  if (spawnSync(shell, ['-c', 'exit']).status === 0) return false;
  t.log(`skipped: ${shell} is not installed`);
  t.pass();
  return true;
}

withCommands('zsh completes what is typed', async (t, commands) => {
  if (isMissing(t, 'zsh')) return;
  const local = (name: string) => join(commands.directory, name);
  writeFileSync(
    local('setup.zsh'),
    `PS1='> '
gfs() { '${process.execPath}' '${GFS}' "$@" }
export GFS_COMPLETION_PATIENCE=30s
autoload -Uz compinit; compinit -u -D
source <(gfs completion zsh)
compadd() {
  local -a found; builtin compadd -O found "$@"
  (( $#found )) && print -rl -- "offered "$^found >> told
  builtin compadd "$@"
}
tell() { print -r -- "becomes $BUFFER" >> told; BUFFER=; zle -I; print TO''LD }
zle -N tell; bindkey '^X' tell; bindkey '^I' expand-or-complete
print READ''Y
`,
  );
  // A terminal of its own; after the tabulator it is told what the line is.
  writeFileSync(
    local('type.zsh'),
    `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'source ./setup.zsh'
zpty -r shell said '*READY*' || exit 1
while IFS= read -r line; do
  zpty -n -w shell "$line"$'\\t\\x18'
  zpty -r shell said '*TOLD*' || exit 1
done
zpty -d shell
`,
  );
  const lines = TYPED.map(([line]) => `${line}\n`).join('');
  writeFileSync(local('typed'), lines);
  const { code, err } = await commands.shell('zsh -f ./type.zsh < typed');
  t.deepEqual([code, err], [0, '']);
  const told = readFileSync(local('told'), 'utf8').split(/(?<=^becomes .*\n)/m);
  for (const [index, [line, offered, becomes]] of TYPED.entries()) {
    const said = (told[index] ?? '').trimEnd().split('\n');
    const words = said.slice(0, -1).map((text) => text.replace(/^offered /, '').replaceAll('\\', ''));
    t.is(said.at(-1), `becomes ${becomes}`.trimEnd(), line);
    // Some are told twice, as zsh tries whether they would fit.
    t.deepEqual([...new Set(words)], offered, line);
  }
});

withCommands('fish offers what it is told, and local files', async (t, commands) => {
  if (isMissing(t, 'fish')) return;
  for (const [line, offered] of TYPED) {
    const { code, out, err } = await commands.shell(`
      export GFS_COMPLETION_PATIENCE=30s HOME=$PWD
      fish --no-config -c "function gfs; '${process.execPath}' '${GFS}' \\$argv; end
        gfs completion fish | source; complete -C '${line.replaceAll('\\', '\\\\')}'"`);
    t.deepEqual([code, err], [0, ''], line);
    // Behind a tabulator it describes files.
    const words = out
      .toString()
      .split('\n')
      .map((text) => text.replace(/\t.*/, '').replaceAll('\\', ''));
    t.deepEqual(
      words.filter((word) => word !== ''),
      offered,
      line,
    );
  }
});
