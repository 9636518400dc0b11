import test from 'ava';
import { KernelBelief, NOBODY } from '../../../mount/gfs/kernel-belief.ts';
import { type MountedFile, OpenFiles } from '../../../mount/gfs/open-files.ts';
import { dropPages, expireNode } from '../../../mount/wire/notifications.ts';
import type { Env } from '../../../src/base/env.ts';
import { type InodeId, inodeId } from '../../../src/base/ids.ts';
import { nameKey } from '../../../src/base/name-key.ts';
import type { ChangeListener, GfsClient } from '../../../src/client/api.ts';
import { RecentChanges } from '../../../src/client/recent-changes.ts';
import { type Attributes, FileType } from '../../../src/rpc/messages.ts';

const NODE = inodeId(7);
const PARENT = inodeId(6);
const NAME = Buffer.from('name');
const MTIME = { seconds: 1000, nanos: 5_000_000 };
const HOUR_MS = 3_600_000;

/** What a kernel would hear, on a clock that the test moves. */
class World {
  readonly openFiles = new OpenFiles();
  readonly changes = new RecentChanges();
  readonly belief: KernelBelief;
  /** What the client knows now of the node, and of the name. */
  known: Attributes | undefined;
  knownName: InodeId | undefined;
  /** Notifications that the kernel takes. */
  room = Number.POSITIVE_INFINITY;
  type: FileType = FileType.FILE_TYPE_REGULAR;
  length = 0;
  #told: string[] = [];
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly task: () => void }>();
  #listener: ChangeListener | undefined;

  constructor() {
    this.changes.see();
    const env = {
      monotonicMs: () => this.#nowMs,
      setTimer: (delayMs: number, task: () => void) => {
        const timer = { atMs: this.#nowMs + delayMs, task };
        this.#timers.add(timer);
        return { cancel: () => this.#timers.delete(timer) };
      },
    } as unknown as Env;
    const client = {
      changes: this.changes,
      known: () => this.known,
      knownName: () => this.knownName,
      onChange: (listener: ChangeListener) => {
        this.#listener = listener;
      },
    } as unknown as GfsClient;
    const timeouts = { attributeTimeoutMs: HOUR_MS, entryTimeoutMs: HOUR_MS };
    this.belief = new KernelBelief({ env, client, timeouts, openFiles: this.openFiles });
    this.belief.attach({
      ...NOBODY,
      notify: ({ bytes }) => {
        if (this.room === 0) return false;
        this.room -= 1;
        const kinds = { 'attributes are old': expireNode(NODE), 'pages are old': dropPages(NODE) };
        const kind = Object.entries(kinds).find(([, { bytes: known }]) => known.equals(bytes));
        this.#told.push(kind?.[0] ?? 'something else');
        return true;
      },
    });
  }

  open(): number {
    return this.openFiles.add({ node: NODE } as unknown as MountedFile, this.changes.isBlind);
  }

  /** The kernel looks, and is answered. */
  looks(): Promise<string> {
    return this.looksAt(() => undefined);
  }

  /** And something happens before the answer comes. */
  async looksAt(meanwhile: () => void): Promise<string> {
    const { attributeTimeoutMs } = await this.belief.look(NODE, async () => {
      meanwhile();
      return this.#attributes();
    });
    return attributeTimeoutMs === 0 ? 'look anew' : 'believe it';
  }

  /** It looks, and looks again when that answer is surely in its caches. */
  async looksAndSettles(): Promise<void> {
    await this.looks();
    this.pass(1000);
    await this.looks();
    this.pass(1000);
    this.#told = [];
  }

  /** What the answer to a change of attributes says: the mtime as it is, or another one that is not to be believed. */
  answerToChange(): string {
    const { attributes, attributeTimeoutMs } = this.belief.changed(this.#attributes(), this.belief.asking());
    const isReal = attributes.mtime.seconds === MTIME.seconds && attributes.mtime.nanos === MTIME.nanos;
    return `${isReal ? 'real' : 'other'} mtime, ${attributeTimeoutMs === 0 ? 'look anew' : 'believe it'}`;
  }

  /** The node is made here, and something of it and of its name changes before the kernel is answered. */
  answerToMaking(): string {
    const asked = this.belief.asking();
    this.changes.note(NODE);
    this.changes.note(nameKey(PARENT, NAME));
    const entry = this.belief.entry(this.#attributes(), asked, PARENT, NAME);
    const { attributes, attributeTimeoutMs, entryTimeoutMs } = entry;
    const believed = { name: entryTimeoutMs > 0, node: attributeTimeoutMs > 0 };
    return `mode ${attributes.mode & 0o777}, ${JSON.stringify(believed)}`;
  }

  othersChange(): void {
    this.changes.note(NODE);
    this.#listener?.inodeChanged(NODE);
  }

  /** Others take the last name of something. */
  othersRemove(type: FileType): void {
    const meant = { ...attributes(0), type };
    this.#listener?.nameChanged({ parent: PARENT, name: NAME, removed: NODE, meant });
  }

  everythingChanges(): void {
    this.changes.noteEverything();
    this.#listener?.everythingChanged();
  }

  pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > untilMs) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.task();
    }
    this.#nowMs = untilMs;
  }

  /** Since it was asked last. */
  get told(): string[] {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  #attributes(): Attributes {
    return { inode: NODE, type: this.type, length: this.length, mtime: MTIME } as unknown as Attributes;
  }
}

function attributes(mode: number): Attributes {
  return { inode: NODE, type: FileType.FILE_TYPE_REGULAR, mode, mtime: MTIME } as unknown as Attributes;
}

const BOTH = ['attributes are old', 'pages are old'];

test('of a file that is open the kernel drops the pages, too, when others changed it', async (t) => {
  const world = new World();
  await world.looks();
  world.othersChange();
  t.deepEqual(world.told, ['attributes are old'], 'what is opened later is read anew then');
  const first = world.open();
  const second = world.open();
  await world.looksAndSettles();
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  world.openFiles.remove(first);
  await world.looksAndSettles();
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  world.openFiles.remove(second);
  await world.looksAndSettles();
  world.othersChange();
  t.deepEqual(world.told, ['attributes are old']);
});

test('a change of attributes hides no change by others that the kernel has not seen', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  t.is(world.answerToChange(), 'real mtime, believe it');
  world.othersChange();
  t.is(world.answerToChange(), 'other mtime, look anew');
  t.is(world.answerToChange(), 'other mtime, look anew', 'it has not looked yet');
  await world.looksAndSettles();
  t.is(world.answerToChange(), 'real mtime, believe it');
  world.everythingChanges();
  t.is(world.answerToChange(), 'other mtime, look anew');
});

test('what this mount made and changed is believed as the client knows it; what others changed meanwhile is not', (t) => {
  const world = new World();
  t.is(world.answerToMaking(), 'mode 0, {"name":false,"node":false}');
  world.known = attributes(3);
  world.knownName = NODE;
  t.is(
    world.answerToMaking(),
    'mode 3, {"name":true,"node":true}',
    'it knows more by now than it was answered',
  );
  world.knownName = inodeId(8);
  t.is(world.answerToMaking(), 'mode 3, {"name":false,"node":true}');
  world.known = undefined;
  world.knownName = NODE;
  t.is(world.answerToMaking(), 'mode 0, {"name":true,"node":false}');
});

test('while nobody tells what others change, a change of attributes is always followed by a look', async (t) => {
  const world = new World();
  world.changes.goBlind();
  world.open();
  t.is(world.answerToChange(), 'other mtime, look anew');
  await world.looks();
  world.changes.see();
  t.is(world.answerToChange(), 'other mtime, look anew', 'what was answered before may be old by now');
  await world.looks();
  t.is(world.answerToChange(), 'real mtime, believe it');
});

test('what the notifier has no room for is told later', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.pass(2000);
  world.room = 1;
  world.othersChange();
  t.deepEqual(world.told, ['attributes are old']);
  world.pass(1000);
  t.deepEqual(world.told, []);
  world.room = 10;
  world.pass(100);
  t.deepEqual(world.told, ['pages are old']);
  world.room = 0;
  world.everythingChanges();
  world.room = 10;
  world.pass(100);
  t.deepEqual(world.told, ['pages are old']);
});

test('what the kernel was told just before it changed it is told to be old again, a second after it last asked', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.pass(999);
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  world.pass(999);
  await world.looks();
  world.pass(999);
  t.deepEqual(world.told, [], 'a word now would have the kernel ignore the answer');
  world.pass(1);
  t.deepEqual(world.told, BOTH);
  await world.looksAndSettles();
  world.pass(1000);
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  world.pass(10_000);
  t.deepEqual(world.told, [], 'the answer was written into its caches long ago');
});

test('the second word waits for its turn also when the notifier is full', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  world.room = 0;
  world.pass(1000);
  t.deepEqual(world.told, []);
  world.room = 10;
  world.pass(100);
  t.deepEqual(world.told, BOTH);
  world.pass(10_000);
  t.deepEqual(world.told, []);
});

test('between news and an answer that the kernel has taken it looks each time, and hears no more words', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.pass(2000);
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  for (let round = 0; round < 3; round += 1) {
    world.length += 1;
    world.othersChange();
    t.is(await world.looks(), 'look anew');
    world.pass(900);
  }
  // The latest of them knows all the news, and is not a second old.
  t.is(await world.looks(), 'look anew');
  world.pass(100);
  t.deepEqual(world.told, [], 'a word would take answers from it that are on their way');
  t.is(await world.looks(), 'believe it');
  world.othersChange();
  t.deepEqual(world.told, BOTH);
});

test('a look that is overtaken by news is answered, and no word about it comes before that', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.othersChange();
  t.deepEqual(world.told, BOTH);
  const answer = await world.looksAt(() => {
    world.othersChange();
    world.pass(5000);
  });
  t.is(answer, 'look anew');
  t.deepEqual(world.told, []);
  world.pass(1000);
  t.deepEqual(world.told, BOTH, 'the second word');
});

test('what the kernel has read is old where an answer after news names the mtime and the length from before', async (t) => {
  const world = new World();
  world.open();
  await world.looks();
  world.pass(2000);
  world.othersChange();
  await world.looks();
  t.deepEqual(world.told, BOTH);
  world.othersChange();
  await world.looks();
  t.deepEqual(world.told, ['pages are old']);
  await world.looks();
  t.deepEqual(world.told, []);
  world.length += 1;
  world.othersChange();
  await world.looks();
  t.deepEqual(world.told, [], 'it drops them by itself');
});

test('of a directory an answer is believed at once: nothing is read by what it says', async (t) => {
  const world = new World();
  world.type = FileType.FILE_TYPE_DIRECTORY;
  world.othersChange();
  t.is(await world.looks(), 'believe it');
});

test('of what the kernel does not believe any more it is not told that it is old', async (t) => {
  const world = new World();
  world.type = FileType.FILE_TYPE_DIRECTORY;
  world.othersChange();
  t.deepEqual(world.told, [], 'it was told nothing');
  const beliefMs = HOUR_MS * 1.001 + 1000;
  await world.looks();
  world.pass(beliefMs - 1);
  world.othersChange();
  t.deepEqual(world.told, ['attributes are old']);
  await world.looks();
  // When it was told counts in tenths of a second.
  world.pass(beliefMs + 2);
  world.othersChange();
  t.deepEqual(world.told, []);
});

test('that a directory is gone the kernel hears whatever it believes of names', (t) => {
  const world = new World();
  world.othersRemove(FileType.FILE_TYPE_REGULAR);
  t.deepEqual(world.told, []);
  world.othersRemove(FileType.FILE_TYPE_DIRECTORY);
  t.deepEqual(world.told, ['something else']);
  world.belief.entry(attributes(0), world.belief.asking(), PARENT, NAME);
  world.othersRemove(FileType.FILE_TYPE_REGULAR);
  t.deepEqual(world.told, ['something else']);
});
