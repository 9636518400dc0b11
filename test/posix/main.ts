import { accessSync } from 'node:fs';
import { tmpdir } from 'node:os';
import Table from 'cli-table3';
import { refuseCall, toolOptions } from '../tool-options.ts';
import { POSIX_CHECKS } from './list.ts';
import { runList } from './posix.ts';

const HELP = `npm run posix -- [--only TEXT] [--plain DIRECTORY] [--mount DIRECTORY] [--list]

What programs expect of a file system, ${Object.keys(POSIX_CHECKS).length} checks, on the mount of a cluster
of its own and on an ordinary directory. What fails on the ordinary directory
is a wrong check, what fails on the mount is a bug of ours; the table has both.

  --only TEXT         only the checks with this in their names
  --plain DIRECTORY   on ext4 or xfs, not mounted with noatime (default: ${tmpdir()})
  --mount DIRECTORY   a place to check rather than a new cluster's mount
  --list              print the names, and do nothing

Needs root, /dev/fuse and a C++ compiler.
`;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const values = toolOptions('posix', {
  only: { type: 'string', default: '' },
  plain: { type: 'string', default: tmpdir() },
  mount: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const names = Object.keys(POSIX_CHECKS).filter((name) => name.includes(values.only));
if (names.length === 0) refuseCall('posix', `no check has "${values.only}" in its name`);
if (values.list) {
  for (const name of names) print(name);
  process.exit(0);
}
if (process.getuid?.() !== 0) refuseCall('posix', 'only root makes calls as others');
for (const directory of [values.plain, values.mount ?? values.plain]) {
  try {
    accessSync(directory);
  } catch {
    refuseCall('posix', `there is no directory ${directory}`);
  }
}
const checks = Object.fromEntries(Object.entries(POSIX_CHECKS).filter(([name]) => names.includes(name)));
const report = await runList(checks, values);
if (report === undefined) refuseCall('posix', 'a C++ compiler is missing');
const table = new Table({
  head: ['check', 'where', 'what happened'],
  style: { head: [], border: [] },
  wordWrap: true,
  colWidths: [60, 8, 70],
});
for (const [name, what] of report.wrong) table.push([name, 'plain', what]);
for (const [name, what] of report.failed) table.push([name, 'mount', what]);
const failures = report.wrong.size + report.failed.size;
if (failures > 0) print(table.toString());
print(
  `${report.count} checks, ${report.ordinaryCount} of them with ordinary users: ` +
    (failures === 0 ? 'all pass' : `${report.wrong.size} are wrong, ${report.failed.size} fail on the mount`),
);
process.exitCode = failures === 0 ? 0 : 1;
