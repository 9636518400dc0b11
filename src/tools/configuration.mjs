// Writes src/deploy/CONFIGURATION.md, the table of all keys, from what the programs themselves say (`--help`), so that it says
// what is. `--check` writes nothing, and fails where the file says something else.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const FILE = 'src/deploy/CONFIGURATION.md';
/** Each program that runs on, and the configuration file that its unit names. */
const PROGRAMS = [
  ['gfs-master', ['dist/src/cli/gfs-master.js'], '/etc/gfs/master.yaml'],
  ['gfs-chunkserver', ['dist/src/cli/gfs-chunkserver.js'], '/etc/gfs/chunkserver-NAME.yaml'],
  ['gfs-mount', ['dist/mount/gfs-mount.js'], '/etc/gfs/mount.yaml'],
  ['gfs gateway', ['dist/src/cli/gfs.js', 'gateway'], '/etc/gfs/gateway.yaml'],
  ['gfs up', ['dist/src/cli/gfs.js', 'up'], undefined],
];
const NOT_KEYS = new Set(['version', 'help', 'config', 'check-config']);

function helpOf([script, ...args]) {
  const done = spawnSync(process.execPath, [join(ROOT, script), ...args, '--help'], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${script} --help: ${done.stderr}`);
  return done.stdout;
}

/** The lines below a heading, up to an empty one. */
function section(help, heading) {
  const [, text = ''] = help.split(`\n${heading}:\n`);
  return text.split('\n\n', 1)[0].split('\n');
}

/** Of each option its flags and, in one line again, what is said of it. */
function optionsOf(help) {
  const options = [];
  for (const line of section(help, 'Options')) {
    const [, flags, text] = /^ {2}(-\S.*?) {2,}(\S.*)$/.exec(line) ?? [];
    if (flags !== undefined) options.push({ flags, text });
    else options.at(-1).text += ` ${line.trim()}`;
  }
  return options;
}

/** A row of a program's table; undefined for a flag that is no key. */
function row({ flags, text }) {
  const name = /--([\w-]+)/.exec(flags)[1];
  if (NOT_KEYS.has(name)) return undefined;
  const [environment = '', variable] = /,? ?\(?env: (\w+)\)$/.exec(text) ?? [];
  const said = text.slice(0, text.length - environment.length).replace(/\(default: [^()]*$/, '$&)');
  const [whole = '', usual = ''] = / ?\(default: ([^()]*)\)$/.exec(said) ?? [];
  const required = said.endsWith(' (required)');
  const meaning = said.slice(0, said.length - whole.length).replace(/ \(required\)$/, '');
  const value = required ? 'required' : usual.replace(/^"(.*)"$/, '$1');
  return `| \`${name}\` | ${value} | ${variable === undefined ? '' : `\`${variable}\``} | ${meaning} |`;
}

function table([title, call, file]) {
  const help = helpOf(call);
  const rows = optionsOf(help).map(row);
  const lines = [
    `## ${title}`,
    '',
    ...(file === undefined ? [] : [`Its unit reads \`${file}\`.`, '']),
    ...['| key | default | environment | what it is |', '| --- | --- | --- | --- |'],
    ...rows.filter((line) => line !== undefined),
  ];
  const options = section(help, 'Mount options');
  if (options.length > 1) lines.push('', 'Of `options`:', '', '```', ...options, '```');
  return lines.join('\n');
}

const content = `# Configuration

All keys of the programs that run on, as \`--help\` on each says. A key is given as a flag (\`--chunk-size 1MiB\`), in the environment
(\`GFS_CHUNK_SIZE=1MiB\`) or in a YAML file (\`chunk-size: 1MiB\`, with \`--config FILE\` or \`GFS_CONFIG\`). A flag weighs most, the file
least. A file that has a key which the program does not know is refused; \`--check-config\` says whether all is well, and runs
nothing. Sizes are written \`64MiB\` or \`1GiB\`, spans of time \`500ms\`, \`5s\`, \`10min\` or \`1h\`; a list (of masters, of options) with
commas, or as one of YAML's. \`gfs\`'s other commands take \`master\` in the same ways.

${PROGRAMS.map(table).join('\n\n')}
`;
if (!process.argv.includes('--check')) {
  writeFileSync(join(ROOT, FILE), content);
} else if (readFileSync(join(ROOT, FILE), 'utf8') !== content) {
  process.stderr.write(
    `${FILE} says something else than the programs do: run "node src/tools/configuration.mjs"\n`,
  );
  process.exitCode = 1;
}
