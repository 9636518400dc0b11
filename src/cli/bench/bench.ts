import { GfsError, messageOf } from '../../base/errors.ts';
import { MINUTE_MS } from '../../base/units.ts';
import type { GfsClient } from '../../client/api.ts';
import { type World, withClient } from '../commands/common.ts';
import { Files } from '../files/files.ts';
import { EXIT_FAILURE } from '../program.ts';
import { type Done, levelsUpTo, median, neededBytes, operationRate } from './arithmetic.ts';
import { Crew } from './crew.ts';
import { type Figure, SMALL_BYTES } from './figures.ts';
import { KernelCaches } from './kernel-caches.ts';
import { machineFacts } from './machine.ts';
import { networkPathTo } from './network-limit.ts';
import { notesOf } from './notes.ts';
import { clusterPlace, localPlace, type Place } from './place.ts';
import { measured, type NetworkResult, type Results, type Row, type Sizes } from './results.ts';
import { removeSite } from './site.ts';

const MEGABYTE = 1e6;
/** A plain stream is as fast as it gets by then. */
const STREAM_MS_MAX = 300;

export interface Target {
  readonly kind: 'directory' | 'cluster';
  readonly path: Buffer;
}

export interface BenchOptions extends Sizes {
  readonly masters: readonly string[];
  readonly here: Target;
  readonly there?: Target | undefined;
  readonly clients: number;
  readonly figures: readonly Figure[];
}

/** Who looks on. */
export interface Onlooker {
  expect(steps: number): void;
  begins(step: { readonly name: string; readonly clients: number }): void;
  done(): void;
}

export interface BenchInit {
  readonly world: World;
  readonly options: BenchOptions;
  readonly onlooker: Onlooker;
  /** Ends it before its time. */
  readonly ending: AbortController;
}

/** Measures, and removes whatever it made, however it ends. */
export async function runBench(init: BenchInit): Promise<Results> {
  const { world, options, ending } = init;
  const targets = [options.here, ...(options.there === undefined ? [] : [options.there])];
  if (targets.every(({ kind }) => kind === 'directory')) return await new Bench(init, undefined).run(targets);
  return await withClient(
    world,
    options.masters,
    'gfs bench',
    (client) => new Bench(init, client).run(targets),
    { ioTimeoutMs: MINUTE_MS, signal: ending.signal },
  );
}

class Bench {
  readonly #init: BenchInit;
  readonly #client: GfsClient | undefined;
  readonly #levels: readonly number[];
  readonly #places: Place[] = [];
  #crew: Crew | undefined;
  #stepCount = 0;

  constructor(init: BenchInit, client: GfsClient | undefined) {
    this.#init = init;
    this.#client = client;
    this.#levels = levelsUpTo(init.options.clients);
  }

  async run(targets: readonly Target[]): Promise<Results> {
    const { world, options, onlooker, ending } = this.#init;
    const { env } = world;
    const { sizeBytes, fileCount, timeMs, rounds, figures } = options;
    const startedAtMs = env.nowMs();
    const begunAtMs = env.monotonicMs();
    try {
      const places = await Promise.all(targets.map((target) => this.#place(target)));
      const machine = await machineFacts();
      const caches = await KernelCaches.look();
      const sites = places.map(({ site }) => site);
      this.#crew = new Crew({ env, count: options.clients, sites, signal: ending.signal });
      await this.#crew.adopt(sites);
      for (const place of places) {
        // It may be there also when that failed.
        this.#places.push(place);
        await place.make();
      }
      await this.#crew.begin({ sizeBytes, fileCount });
      const [here, there] = this.#places.map(({ facts }) => facts);
      if (here === undefined) throw new Error('there is a place to measure');
      onlooker.expect(figures.length * this.#levels.length * rounds * this.#places.length);
      const network = here.kind === 'cluster' ? await this.#network() : undefined;
      const rows: Row[] = [];
      for (const figure of figures) {
        for (const clients of this.#levels) rows.push(await this.#row(figure, clients, caches));
      }
      const notes = notesOf({ here, there, network, figures, whyNotCold: caches.whyNot });
      const tookMs = env.monotonicMs() - begunAtMs;
      const sizes = { sizeBytes, fileCount, timeMs, rounds };
      return { startedAtMs, tookMs, ...sizes, machine, here, there, network, rows, notes };
    } finally {
      await this.#crew?.end();
      for (const { site, shownPath } of this.#places) {
        await removeSite(world, site).catch((error: unknown) => {
          process.exitCode = EXIT_FAILURE;
          process.stderr.write(`gfs: ${shownPath} is left behind: ${messageOf(error)}\n`);
        });
      }
    }
  }

  async #place({ kind, path }: Target): Promise<Place> {
    const { world, options, ending } = this.#init;
    const needBytes = neededBytes(options.clients, options);
    if (kind === 'directory') return await localPlace(world.env, path, needBytes);
    const client = this.#requireClient();
    const files = new Files(world.env, client, ending);
    const status = await client.status(files.call);
    return await clusterPlace(files, { masters: options.masters, path, needBytes }, status);
  }

  /** All rounds at all places in turn: what else the machine does meanwhile is shared by them. */
  async #row(figure: Figure, clients: number, caches: KernelCaches): Promise<Row> {
    const { options, onlooker } = this.#init;
    const rounds = this.#places.map((): Done[][] => []);
    for (let round = 0; round < options.rounds; round += 1) {
      for (const [index, place] of this.#places.entries()) {
        onlooker.begins({ name: figure.name, clients });
        rounds[index]?.push(await this.#step(figure, { clients, index, place, caches }));
        onlooker.done();
      }
    }
    const [here, there] = rounds.map((each) => measured(figure, each));
    if (here === undefined) throw new Error('there is a place to measure');
    return { figure, clients, here, there };
  }

  async #step(
    figure: Figure,
    { clients, index, place, caches }: { clients: number; index: number; place: Place; caches: KernelCaches },
  ): Promise<Done[]> {
    const crew = this.#requireCrew();
    this.#stepCount += 1;
    const step = `${figure.name}-${this.#stepCount}`;
    await crew.prepare(clients, { kind: 'prepare', site: index, figure: figure.name, step });
    if (figure.cold) await caches.empty();
    const done = await crew.go(clients, this.#init.options.timeMs);
    if (figure.name === 'append') await mustHoldAll(place, step, done);
    return done;
  }

  async #network(): Promise<NetworkResult> {
    const { options } = this.#init;
    const client = this.#requireClient();
    const [{ servers }, { replication }] = await Promise.all([client.listServers(), client.status()]);
    const path = await networkPathTo(servers);
    const limits = new Map<number, number>();
    if (path.kind === 'unknown') return { path, writtenCrossings: 1, bytesPerSecond: limits };
    if (path.kind === 'link') {
      for (const clients of this.#levels) limits.set(clients, path.bytesPerSecond);
      return { path, writtenCrossings: 1, bytesPerSecond: limits };
    }
    const { onlooker } = this.#init;
    onlooker.expect(this.#levels.length * options.rounds);
    for (const clients of this.#levels) {
      const rates: number[] = [];
      for (let round = 0; round < options.rounds; round += 1) {
        onlooker.begins({ name: 'network', clients });
        await this.#requireCrew().prepare(clients, { kind: 'prepareStream', host: path.host });
        const done = await this.#requireCrew().go(clients, Math.min(options.timeMs, STREAM_MS_MAX));
        rates.push(operationRate(done) * MEGABYTE);
        onlooker.done();
      }
      limits.set(clients, median(rates));
    }
    return { path, writtenCrossings: replication, bytesPerSecond: limits };
  }

  #requireClient(): GfsClient {
    if (this.#client === undefined) throw new Error('a cluster is measured by way of a client');
    return this.#client;
  }

  #requireCrew(): Crew {
    if (this.#crew === undefined) throw new Error('clients measure');
    return this.#crew;
  }
}

/** Each record is there once and whole, or their file is longer or shorter. */
async function mustHoldAll(place: Place, name: string, done: readonly Done[]): Promise<void> {
  const expected = done.reduce((sum, { operations }) => sum + operations * SMALL_BYTES, 0);
  const length = await place.takeLength(name);
  if (length === expected) return;
  throw new GfsError('CORRUPT', `the file of records has ${length} bytes, not ${expected}`);
}
