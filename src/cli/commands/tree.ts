import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { FileType } from '../../rpc/messages.ts';
import { type Files, withFiles } from '../files/files.ts';
import { type Entry, entriesOf } from '../files/listing.ts';
import { typeText } from '../files/mode-text.ts';
import { baseName, clusterPath, foundDirectory, isDirectory } from '../files/places.ts';
import { jsonName, shown } from '../files/shown-name.ts';
import { checked, parseCount } from '../program.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly depth?: number;
  readonly directories?: boolean;
}

interface Counts {
  directories: number;
  files: number;
}

export function addTree(gfs: Command): void {
  const command = gfs
    .command('tree')
    .argument('[path]', 'a directory in the cluster', '/')
    .summary('draw a directory with all that is below it')
    .description('draw a directory with all that is below it')
    .option('-d, --directories', 'directories only')
    .option('-L, --depth <n>', 'so many levels', checked(parseCount({ min: 1, max: 2000 })));
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs tree -L 2 /projects');
  command.action(async (argument: string, keys: Keys) => {
    const path = clusterPath(argument);
    await withFiles(keys, 'gfs tree', async (files) => {
      const attributes = await foundDirectory(files, path);
      const root = { name: baseName(path), path, attributes };
      if (keys.json) {
        await printJson(files, root, keys, 1);
        await files.out.text('\n');
        return;
      }
      const counts = { directories: 0, files: 0 };
      await files.out.line(shown(path));
      await draw(files, root, { keys, indent: '', level: 1, counts });
      await files.out.line(`\n${counts.directories} directories, ${counts.files} files`);
    });
  });
}

interface Level {
  readonly keys: Keys;
  /** In front of the branches. */
  readonly indent: string;
  readonly level: number;
  readonly counts: Counts;
}

async function draw(files: Files, directory: Entry, { keys, indent, level, counts }: Level): Promise<void> {
  for await (const { entry, isLast } of branches(files, directory, keys)) {
    const isBranch = isDirectory(entry.attributes);
    counts[isBranch ? 'directories' : 'files'] += 1;
    await files.out.line(
      `${indent}${isLast ? '└── ' : '├── '}${shown(entry.name)}${await linkText(files, entry)}`,
    );
    if (!isBranch || level === keys.depth) continue;
    const below = { keys, indent: `${indent}${isLast ? '    ' : '│   '}`, level: level + 1, counts };
    await draw(files, entry, below);
  }
}

async function printJson(files: Files, entry: Entry, keys: Keys, level: number): Promise<void> {
  const { out } = files;
  const { type, length } = entry.attributes;
  const fields = JSON.stringify({ ...jsonName('name', entry.name), type: typeText(type), length });
  if (!isDirectory(entry.attributes) || level > (keys.depth ?? Number.POSITIVE_INFINITY)) {
    await out.text(fields);
    return;
  }
  await out.text(`${fields.slice(0, -1)},"entries":[`);
  let isFirst = true;
  for await (const branch of branches(files, entry, keys)) {
    await out.text(isFirst ? '\n' : ',\n');
    isFirst = false;
    await printJson(files, branch.entry, keys, level + 1);
  }
  await out.text(']}');
}

/** What is drawn of a directory. One that cannot be listed has nothing. */
async function* branches(
  files: Files,
  { path, attributes }: Entry,
  { directories }: Keys,
): AsyncGenerator<{ entry: Entry; isLast: boolean }> {
  let last: Entry | undefined;
  try {
    for await (const entry of entriesOf(files, inodeId(attributes.inode), path)) {
      if (directories && !isDirectory(entry.attributes)) continue;
      if (last !== undefined) yield { entry: last, isLast: false };
      last = entry;
    }
  } catch (error) {
    files.failed(path, error);
    files.check();
  }
  if (last !== undefined) yield { entry: last, isLast: true };
}

async function linkText(files: Files, { attributes: { type, inode } }: Entry): Promise<string> {
  if (type !== FileType.FILE_TYPE_SYMLINK) return '';
  return ` -> ${shown(await files.client.readSymlink(inodeId(inode), files.call))}`;
}
