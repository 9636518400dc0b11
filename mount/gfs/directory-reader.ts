import { GfsError } from '../../src/base/errors.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { Mutex } from '../../src/base/mutex.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type { Call } from '../../src/client/api.ts';
import type { Attributes, DirectoryEntry } from '../../src/rpc/messages.ts';
import type { Asked } from '../file-system.ts';
import { type DirectoryItem, itemCountMax } from '../wire/directory.ts';
import { TYPE } from '../wire/numbers.ts';
import type { ReadDirectory } from '../wire/requests.ts';
import { typeBits } from './attributes.ts';
import type { GfsContext } from './context.ts';
import { ListedNames } from './listed-names.ts';

/** Of the first page. Each one is twice as long as the one before: so much is asked for that many do not read. */
const PAGE_ENTRY_COUNT_MIN = 256;
const PAGE_ENTRY_COUNT_MAX = 1024;
/** A page that was fetched ahead is used for so long: it says what was there before it was wanted. */
const AHEAD_MS_MAX = 1 * SECOND_MS;
/** "." and ".." come first, with the offsets 1 and 2 behind them. */
const OFFSET_AFTER_DOTS = 2;
const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

const NOTHING_LEFT = { entries: [], end: true, parent: undefined };

/**
 * Reads one open directory, page by page in the order of names.
 *
 * An offset stands for a name that this reader gave out, and what follows it is what follows that name now, be it still there
 * or not. So each name that is there all the time is listed once, however many come and go meanwhile, and an offset that a
 * program kept (telldir) means the same until it rewinds, which lets go of all names.
 */
export class DirectoryReader {
  readonly #context: GfsContext;
  readonly #directory: InodeId;
  readonly #call: Call;
  /** The kernel reads one after another; a read that it gave up may still be on its way. */
  readonly #mutex = new Mutex();
  /** The read that is under way, or was the last one. */
  #asked: Asked | undefined;
  /** The name before each offset; its number counts from the last of the dots. */
  #names = new ListedNames();
  #page: Page | undefined;
  /** The page that comes after this offset; undefined if it could not be had. */
  #ahead: { readonly offset: number; readonly page: Promise<Page | undefined> } | undefined;

  constructor(context: GfsContext, directory: InodeId, call: Call) {
    this.#context = context;
    this.#directory = directory;
    this.#call = call;
  }

  /** What is known to come after an offset: at least one item, unless the directory ends there. */
  read({ offset, size, withAttributes }: Wanted, asked?: Asked): Promise<readonly DirectoryItem[]> {
    const countMax = itemCountMax(size, withAttributes);
    return this.#mutex.run(async () => {
      this.#asked = asked;
      // From the start (again): what was listed before does not count any more.
      if (offset === 0) this.#page = await this.#firstPage(withAttributes);
      let index = this.#page?.indexOf(offset);
      if (index === undefined) {
        this.#page = await this.#pageAfter(offset, withAttributes);
        index = this.#page.indexOf(offset) ?? 0;
      }
      let page = this.#page;
      if (page === undefined) return [];
      if (index === page.items.length) {
        if (page.end) return [];
        page = await this.#nextPage(page, offset, withAttributes);
        this.#page = page;
        index = 0;
      }
      // Whoever reads on is given the rest while the next page is on its way.
      if (index > 0 || page.after > 0) this.#fetchAhead(page, withAttributes);
      return this.#fresh(page, index, countMax);
    });
  }

  async #nextPage({ countMax }: Page, offset: number, withAttributes: boolean): Promise<Page> {
    const ahead = this.#ahead?.offset === offset ? await this.#ahead.page : undefined;
    this.#ahead = undefined;
    const isYoung = ahead && this.#context.env.monotonicMs() - ahead.fetchedMs <= AHEAD_MS_MAX;
    return isYoung ? ahead : await this.#pageAfter(offset, withAttributes, countMax * 2);
  }

  #fetchAhead({ items, end, countMax }: Page, withAttributes: boolean): void {
    const offset = items.at(-1)?.nextOffset;
    if (end || offset === undefined || this.#ahead?.offset === offset) return;
    const page = this.#pageAfter(offset, withAttributes, countMax * 2);
    // Who comes there asks again, and hears what is wrong.
    this.#ahead = { offset, page: page.catch(() => undefined) };
  }

  async #firstPage(withAttributes: boolean): Promise<Page> {
    this.#names = new ListedNames();
    this.#ahead = undefined;
    const { entries, end, parent, ...init } = await this.#list(undefined, withAttributes);
    // Not even dots are in a directory that was removed.
    if (parent === undefined) return new Page({ after: 0, items: [], end, ...init });
    const dots = [
      { name: DOT, node: this.#directory, type: TYPE.DIRECTORY, nextOffset: 1, attributes: undefined },
      { name: DOT_DOT, node: parent, type: TYPE.DIRECTORY, nextOffset: 2, attributes: undefined },
    ];
    return new Page({ after: 0, items: [...dots, ...itemsOf(entries, this.#names)], end, ...init });
  }

  async #pageAfter(
    offset: number,
    withAttributes: boolean,
    count: number = PAGE_ENTRY_COUNT_MIN,
  ): Promise<Page> {
    if (offset < OFFSET_AFTER_DOTS) return this.#firstPage(withAttributes);
    const names = this.#names;
    const name = offset === OFFSET_AFTER_DOTS ? undefined : names.name(offset - OFFSET_AFTER_DOTS);
    if (offset > OFFSET_AFTER_DOTS && name === undefined) {
      throw new GfsError('INVALID_ARGUMENT', `nothing was listed at offset ${offset}`);
    }
    const { entries, end, ...init } = await this.#list(name, withAttributes, count);
    return new Page({ after: offset, items: itemsOf(entries, names), end, ...init });
  }

  async #list(after: Uint8Array | undefined, withAttributes: boolean, count = PAGE_ENTRY_COUNT_MIN) {
    const { client, env, changes, removed } = this.#context;
    const countMax = Math.min(count, PAGE_ENTRY_COUNT_MAX);
    const options = { limit: countMax, withAttributes, ...(after === undefined ? {} : { after }) };
    // Taken before the question: what changes while it is answered may or may not be in the answer.
    const init = { countMax, fetchedMs: env.monotonicMs(), changesUntil: changes.now() };
    const listed = client.list(this.#directory, options, {
      ...this.#call,
      requestId: this.#asked?.requestId,
    });
    return { ...(await removed.entries(this.#directory, listed, NOTHING_LEFT)), ...init };
  }

  /** The page's items from an index on, with attributes only where they are still as good as just fetched. */
  #fresh({ items, fetchedMs, changesUntil }: Page, index: number, countMax: number): DirectoryItem[] {
    const { env, timeouts, changes, belief } = this.#context;
    const old = env.monotonicMs() - fetchedMs > timeouts.attributeTimeoutMs;
    return items.slice(index, index + countMax).map(({ name, node, type, nextOffset, attributes }) => {
      const usable = attributes !== undefined && !old && !changes.changedSince(node, changesUntil);
      if (!usable) return { name, node, type, nextOffset };
      const entry = belief.entry(attributes, changesUntil, this.#directory, name);
      return { name, node, type, nextOffset, entry };
    });
  }
}

function itemsOf(entries: readonly DirectoryEntry[], names: ListedNames): PageItem[] {
  return entries.map(({ name, inode, type, attributes }) => {
    const nextOffset = OFFSET_AFTER_DOTS + names.number(name);
    return { name, node: inode, type: typeBits(type), nextOffset, attributes };
  });
}

/** What of the operation matters here. */
type Wanted = Pick<ReadDirectory, 'offset' | 'size' | 'withAttributes'>;

interface PageItem extends DirectoryItem {
  readonly attributes: Attributes | undefined;
}

interface PageInit {
  /** The offset that the first item comes after. */
  readonly after: number;
  readonly items: readonly PageItem[];
  /** Nothing comes after them. */
  readonly end: boolean;
  /** So many were asked for. */
  readonly countMax: number;
  readonly fetchedMs: number;
  readonly changesUntil: number;
}

class Page {
  readonly after: number;
  readonly items: readonly PageItem[];
  readonly end: boolean;
  readonly countMax: number;
  readonly fetchedMs: number;
  readonly changesUntil: number;

  constructor({ after, items, end, countMax, fetchedMs, changesUntil }: PageInit) {
    this.after = after;
    this.items = items;
    this.end = end;
    this.countMax = countMax;
    this.fetchedMs = fetchedMs;
    this.changesUntil = changesUntil;
  }

  /** Of the item that comes after an offset; one past the last item when that is the offset of the last. */
  indexOf(offset: number): number | undefined {
    if (offset === this.after) return 0;
    const index = this.items.findIndex(({ nextOffset }) => nextOffset === offset);
    return index < 0 ? undefined : index + 1;
  }
}
