import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { type Attributes, FileType } from '../../rpc/messages.ts';
import { type Files, withFiles } from '../files/files.ts';
import { JsonList } from '../files/json-list.ts';
import { type Entry, entriesOf, walk } from '../files/listing.ts';
import { isoText, minuteText, modeText, octalText, typeText } from '../files/mode-text.ts';
import { Owners } from '../files/owners.ts';
import { baseName, clusterPath, endsInSlash, found, isDirectory } from '../files/places.ts';
import { jsonName, shown } from '../files/shown-name.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly long?: boolean;
  readonly recursive?: boolean;
  readonly directory?: boolean;
}

export function addLs(gfs: Command): void {
  const command = gfs
    .command('ls')
    .argument('[path...]', 'directories or files in the cluster', ['/'])
    .summary('list directories')
    .description('list directories, one name a line, in the order of their bytes')
    .option('-l, --long', 'show mode, links, owner, group, size and time of change')
    .option('-R, --recursive', 'list all that is below, by paths')
    .option('-d, --directory', 'show directories themselves, not what is in them');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs ls -l /photos');
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    await withFiles(keys, 'gfs ls', (files) => list(files, wanted, keys));
  });
}

async function list(files: Files, paths: readonly Buffer[], keys: Keys): Promise<void> {
  const printer = keys.json ? new JsonPrinter(files) : new TextPrinter(files, keys.long ?? false);
  for (const [index, path] of paths.entries()) {
    await files.attempt(path, async () => {
      const root = await rootOf(files, path, keys);
      if (!isDirectory(root.attributes) || keys.directory) {
        await printer.print(root, path);
        return;
      }
      if (keys.recursive) {
        for await (const step of walk(files, root)) {
          if (step.kind === 'entry') await printer.print(step.entry, step.entry.path);
        }
        return;
      }
      if (paths.length > 1) await printer.head(path, index > 0);
      for await (const entry of entriesOf(files, inodeId(root.attributes.inode), path)) {
        await printer.print(entry, entry.name);
      }
    });
  }
  await printer.end();
}

/** With -l a link that is named itself is shown, as what it is. */
async function rootOf(files: Files, path: Buffer, { long, directory }: Keys): Promise<Entry> {
  const follow = !(long || directory) || endsInSlash(path);
  return { name: baseName(path), path, attributes: await found(files, path, { follow }) };
}

interface Printer {
  /** What follows is in this directory. */
  head(path: Buffer, isFurther: boolean): Promise<void>;
  print(entry: Entry, shownAs: Buffer): Promise<void>;
  end(): Promise<void>;
}

class TextPrinter implements Printer {
  readonly #files: Files;
  readonly #long: boolean;
  readonly #owners = new Owners();
  /** Columns are as wide as the widest so far: nobody waits for the end of a large directory. */
  readonly #widths = [2, 5, 5, 9];

  constructor(files: Files, long: boolean) {
    this.#files = files;
    this.#long = long;
  }

  async head(path: Buffer, isFurther: boolean): Promise<void> {
    await this.#files.out.text(`${isFurther ? '\n' : ''}${shown(path)}:\n`);
  }

  async print(entry: Entry, shownAs: Buffer): Promise<void> {
    const name = shown(shownAs);
    await this.#files.out.line(
      this.#long ? `${this.#columns(entry.attributes)} ${await this.#linked(entry, name)}` : name,
    );
  }

  async end(): Promise<void> {}

  #columns({ type, mode, linkCount, uid, gid, length, rdev, mtime }: Attributes): string {
    const isDevice = type === FileType.FILE_TYPE_BLOCK_DEVICE || type === FileType.FILE_TYPE_CHARACTER_DEVICE;
    const size = isDevice ? deviceText(rdev) : String(length);
    const owner = this.#owners.text('user', uid);
    const group = this.#owners.text('group', gid);
    const texts = [String(linkCount), owner, group, size];
    for (const [index, text] of texts.entries()) {
      this.#widths[index] = Math.max(this.#widths[index] ?? 0, text.length);
    }
    const [links = 0, owners = 0, groups = 0, sizes = 0] = this.#widths;
    return [
      modeText(type, mode),
      String(linkCount).padStart(links),
      owner.padEnd(owners),
      group.padEnd(groups),
      size.padStart(sizes),
      minuteText(mtime),
    ].join(' ');
  }

  async #linked({ attributes }: Entry, name: string): Promise<string> {
    if (attributes.type !== FileType.FILE_TYPE_SYMLINK) return name;
    const { client, call } = this.#files;
    return `${name} -> ${shown(await client.readSymlink(inodeId(attributes.inode), call))}`;
  }
}

class JsonPrinter implements Printer {
  readonly #files: Files;
  readonly #list: JsonList;

  constructor(files: Files) {
    this.#files = files;
    this.#list = new JsonList(files.out);
  }

  async head(): Promise<void> {}

  async print({ name, path, attributes }: Entry): Promise<void> {
    const { client, call } = this.#files;
    const { inode, type, mode, uid, gid, linkCount, length, mtime } = attributes;
    const isLink = type === FileType.FILE_TYPE_SYMLINK;
    await this.#list.add({
      ...jsonName('name', name),
      ...jsonName('path', path),
      inode,
      type: typeText(type),
      mode: octalText(mode),
      uid,
      gid,
      links: linkCount,
      length,
      mtime: isoText(mtime),
      ...(isLink ? jsonName('target', await client.readSymlink(inodeId(inode), call)) : {}),
    });
  }

  async end(): Promise<void> {
    await this.#list.end();
  }
}

/** "8, 1": major and minor number, as Linux packs them. */
function deviceText(rdev: number): string {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return `${major}, ${minor}`;
}
