import type { Command } from 'commander';
import { formatSize } from '../../base/units.ts';
import { type Attributes, FileType } from '../../rpc/messages.ts';
import { type Files, withFiles } from '../files/files.ts';
import { JsonList } from '../files/json-list.ts';
import { type Entry, walk } from '../files/listing.ts';
import { baseName, clusterPath, endsInSlash, found, isDirectory } from '../files/places.ts';
import { jsonName, shown } from '../files/shown-name.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly summarize?: boolean;
}

interface Usage {
  /** Bytes that were written, as one copy of them; files with several names count once. */
  bytes: number;
  /** As far as the files reach, holes included. */
  length: number;
  files: number;
  directories: number;
}

const SIZE_COLUMNS = 10;

export function addDu(gfs: Command): void {
  const command = gfs
    .command('du')
    .argument('[path...]', 'directories or files in the cluster', ['/'])
    .summary('show how much directories hold')
    .description('show what directories hold with all below: what was written, as one copy of it')
    .option('-s, --summarize', 'one line for each path that is named');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs du -s /home/alice /home/bob');
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    await withFiles(keys, 'gfs du', async (files) => {
      const list = keys.json ? new JsonList(files.out) : undefined;
      for (const path of wanted) {
        await files.attempt(path, () =>
          measure(files, path, async (entry, usage, depth) => {
            if (keys.summarize && depth > 0) return;
            if (list === undefined) {
              await files.out.line(`${formatSize(usage.bytes).padStart(SIZE_COLUMNS)}  ${shown(entry.path)}`);
            } else {
              await list.add({ ...jsonName('path', entry.path), ...usage });
            }
          }),
        );
      }
      await list?.end();
    });
  });
}

/** Tells of each directory when all below it is known. */
async function measure(
  files: Files,
  path: Buffer,
  tell: (entry: Entry, usage: Usage, depth: number) => Promise<void>,
): Promise<void> {
  const attributes = await found(files, path, { follow: endsInSlash(path) });
  const root = { name: baseName(path), path, attributes };
  const counted = new Set<number>();
  const usages = [newUsage()];
  if (!isDirectory(attributes)) {
    count(usages[0], attributes, counted);
    await tell(root, usages[0] ?? newUsage(), 0);
    return;
  }
  for await (const { kind, entry, depth } of walk(files, root)) {
    if (kind === 'entry') {
      if (isDirectory(entry.attributes)) usages.push(newUsage());
      else count(usages.at(-1), entry.attributes, counted);
      continue;
    }
    const usage = usages.pop() ?? newUsage();
    usage.directories += 1;
    await tell(entry, usage, depth);
    add(usages.at(-1), usage);
  }
}

function newUsage(): Usage {
  return { bytes: 0, length: 0, files: 0, directories: 0 };
}

function add(to: Usage | undefined, more: Usage): void {
  if (to === undefined) return;
  to.bytes += more.bytes;
  to.length += more.length;
  to.files += more.files;
  to.directories += more.directories;
}

function count(to: Usage | undefined, attributes: Attributes, counted: Set<number>): void {
  const { inode, type, linkCount, length, holeBytes } = attributes;
  if (linkCount > 1) {
    if (counted.has(inode)) return;
    counted.add(inode);
  }
  const isFile = type === FileType.FILE_TYPE_REGULAR;
  add(to, {
    bytes: isFile ? Math.max(0, length - holeBytes) : 0,
    length: isFile ? length : 0,
    files: 1,
    directories: 0,
  });
}
