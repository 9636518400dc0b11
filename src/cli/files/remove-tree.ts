import { codeOf } from '../../base/errors.ts';
import { type InodeId, inodeId } from '../../base/ids.ts';
import { TaskGroup } from '../../base/task-group.ts';
import type { Files } from './files.ts';
import { type Entry, entriesOf } from './listing.ts';
import { isDirectory } from './places.ts';
import { PlacesInFlight } from './places-in-flight.ts';

/** Removals under way together. */
const IN_FLIGHT_COUNT_MAX = 64;
/** Somebody who goes on making files in a directory keeps it from being removed. */
const ROUNDS_MAX = 20;

/** Removals in one directory. */
interface Level {
  readonly tasks: TaskGroup;
  /** Something stays, as has been told: the directory cannot go either. */
  failed: boolean;
}

/** Removes trees in the cluster, what is deepest first; entries may come and go meanwhile. */
export class TreeRemover {
  readonly #files: Files;
  readonly #onRemoved: () => void;
  readonly #places = new PlacesInFlight(IN_FLIGHT_COUNT_MAX);

  constructor(files: Files, onRemoved: () => void = () => undefined) {
    this.#files = files;
    this.#onRemoved = onRemoved;
  }

  /** Failures are told of, each with its path; what is gone already is none. */
  async remove(parent: InodeId, entry: Entry): Promise<void> {
    const level = this.#newLevel(entry);
    await this.#begin(parent, entry, level);
    await level.tasks.drain();
    this.#files.check();
  }

  /** Resolves when all that is below has been found; the level's tasks remove it. */
  async #begin(parent: InodeId, entry: Entry, level: Level): Promise<void> {
    if (!isDirectory(entry.attributes)) {
      const giveBack = await this.#places.take();
      level.tasks.run(() => this.#removeName(parent, entry, level).finally(giveBack));
      return;
    }
    const below = await this.#beginBelow(entry);
    level.tasks.run(() => this.#removeDirectory(parent, entry, level, below));
  }

  async #beginBelow(directory: Entry): Promise<Level> {
    const below = this.#newLevel(directory);
    const inode = inodeId(directory.attributes.inode);
    await this.#attempt(directory, below, async () => {
      for await (const entry of entriesOf(this.#files, inode, directory.path)) {
        this.#files.signal.throwIfAborted();
        await this.#begin(inode, entry, below);
      }
    });
    return below;
  }

  async #removeName(parent: InodeId, entry: Entry, level: Level): Promise<void> {
    await this.#attempt(entry, level, async () => {
      await this.#files.client.unlink(parent, entry.name, this.#files.call);
      this.#onRemoved();
    });
  }

  async #removeDirectory(parent: InodeId, entry: Entry, level: Level, below: Level): Promise<void> {
    await below.tasks.drain();
    if (below.failed) {
      level.failed = true;
      return;
    }
    await this.#attempt(entry, level, async () => {
      for (let round = 1; !(await this.#isRemovedEmpty(parent, entry, round)); round += 1) {
        const more = await this.#beginBelow(entry);
        await more.tasks.drain();
        level.failed ||= more.failed;
        if (more.failed) return;
      }
      this.#onRemoved();
    });
  }

  /** False: it was not empty, and may be worth another look. */
  async #isRemovedEmpty(parent: InodeId, entry: Entry, round: number): Promise<boolean> {
    const giveBack = await this.#places.take();
    try {
      await this.#files.client.removeDirectory(parent, entry.name, this.#files.call);
      return true;
    } catch (error) {
      if (codeOf(error) !== 'NOT_EMPTY' || round === ROUNDS_MAX) throw error;
      return false;
    } finally {
      giveBack();
    }
  }

  async #attempt({ path }: Entry, level: Level, work: () => Promise<void>): Promise<void> {
    const done = await this.#files.attempt(path, () =>
      work().catch((error: unknown) => {
        // Somebody else was quicker.
        if (codeOf(error) !== 'NOT_FOUND') throw error;
      }),
    );
    if (!done) level.failed = true;
  }

  #newLevel({ path }: Entry): Level {
    return { tasks: new TaskGroup((error) => this.#files.failed(path, error)), failed: false };
  }
}
