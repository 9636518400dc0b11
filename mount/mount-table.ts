import { readFile } from 'node:fs/promises';

export interface MountTableEntry {
  /** "major:minor" */
  readonly device: string;
  readonly path: string;
  readonly type: string;
}

/** What is seen at a path that something is mounted at. Asks the kernel's table, never the mount itself: it may be dead. */
export async function topmostMount(path: string): Promise<MountTableEntry | undefined> {
  return (await mountsAt(path)).at(-1);
}

/** All that is mounted at a path, the topmost last. */
export async function mountsAt(path: string): Promise<MountTableEntry[]> {
  const entries = parseMountTable(await readFile('/proc/self/mountinfo', 'latin1'));
  const wanted = Buffer.from(path).toString('latin1');
  return entries.filter((entry) => entry.path === wanted);
}

/** Lines of /proc/self/mountinfo: id, parent, major:minor, root, path, options, optional fields, "-", type, source, ... */
export function parseMountTable(text: string): MountTableEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const type = fields[fields.indexOf('-') + 1] ?? '';
      return { device: fields[2] ?? '', path: unescaped(fields[4] ?? ''), type };
    });
}

/** Blanks, tabs, newlines and backslashes of a path are written as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
