// What is offered at the end of a command line: by the program, and by bash with the script that it prints.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  t.is(await offered('l'), 'ln\nls');
  t.is(await offered('ls', '/complete/alp'), '/complete/alpha\\ beta/\n/complete/alps/');
  t.is(await offered('ls', '/complete/alpha\\ b'), '/complete/alpha\\ beta/');
  // As bash splits gfs:/compl.
  t.is(await offered('sync', 'x', 'gfs', ':', '/compl'), '/complete/');
  t.is(await offered('put', 'local'), 'local\\ dir/\nlocal\\ file');
});
