// npm run chaos -- [--minutes M] [--seed N] [--keep]
// Real daemons and two real mounts; programs append and overwrite, while daemons and mounts are killed with -9, stand still and
// start again in an order that the seed gives. Then what was acknowledged has to be there. Root and /dev/fuse are needed.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MINUTE_MS, SECOND_MS } from '../../src/base/units.ts';
import { isMounted } from '../e2e/cluster.ts';
import { Random } from '../sim/random.ts';
import { Daemon } from './daemon.ts';
import { judge } from './verdict.ts';

const DIST = join(import.meta.dirname, '../..');
const CHUNKSERVERS = 4;
const MOUNTS = 2;
const WRITERS_PER_MOUNT = 3;
/** A run with less of these proves nothing. */
const ACKNOWLEDGED_PER_MINUTE_MIN = 1_000;
const KILLS_PER_MINUTE_MIN = 5;
const BETWEEN_MS = { min: 0.2 * SECOND_MS, max: 6 * SECOND_MS };
const DOWN_MS_MAX = 5 * SECOND_MS;
const PAUSE_MS_MAX = 8 * SECOND_MS;

class Chaos {
  readonly #directory = mkdtempSync(join(tmpdir(), 'gfs-chaos-'));
  readonly #dice: Random;
  readonly #master: Daemon;
  readonly #servers: readonly Daemon[];
  readonly #mounts: readonly { readonly daemon: Daemon; readonly path: string }[];
  readonly #writers: ChildProcess[] = [];
  readonly #manifests = new Map<string, string>();
  #kills = 0;
  #pauses = 0;

  constructor(seed: number, port: number) {
    this.#dice = new Random(`chaos ${seed}`);
    const address = `127.0.0.1:${port}`;
    const daemon = (name: string, script: string, ...args: string[]) =>
      new Daemon(name, [join(DIST, script), ...args], join(this.#directory, 'log'));
    const data = (name: string) => ['--data', join(this.#directory, name)];
    const master = ['--listen', address, '--chunk-size', '256KiB'];
    this.#master = daemon('master', 'src/cli/gfs-master.js', ...data('master'), ...master);
    this.#servers = Array.from({ length: CHUNKSERVERS }, (_, index) => {
      const keys = ['--master', address, '--reserve', '64MiB'];
      return daemon(`server${index}`, 'src/cli/gfs-chunkserver.js', ...data(`server${index}`), ...keys);
    });
    this.#mounts = Array.from({ length: MOUNTS }, (_, index) => {
      const path = join(this.#directory, `mnt${index}`);
      mkdirSync(path);
      return { path, daemon: daemon(`mount${index}`, 'mount/gfs-mount.js', '--master', address, '-f', path) };
    });
  }

  get directory(): string {
    return this.#directory;
  }

  async run(minutes: number): Promise<boolean> {
    for (const daemon of this.#daemons) daemon.start();
    await this.#mounted();
    const [first] = this.#mounts;
    if (first === undefined) throw new Error('there is a mount');
    writeFileSync(join(first.path, 'is-mounted'), 'yes', { flush: true });
    this.#startWriters();
    const endMs = Date.now() + minutes * MINUTE_MS;
    const accidents = new Set<Promise<void>>();
    while (Date.now() < endMs) {
      await sleep(this.#dice.between(BETWEEN_MS.min, BETWEEN_MS.max));
      const accident = this.#accident().finally(() => accidents.delete(accident));
      accidents.add(accident);
    }
    await Promise.all(accidents);
    // The writers go on for a moment in peace: what they could not finish is finished then.
    await this.#mounted();
    await sleep(5 * SECOND_MS);
    await this.#stopWriters();
    return this.#judge(first.path, minutes);
  }

  async close(): Promise<void> {
    await this.#stopWriters();
    for (const { daemon } of this.#mounts) await daemon.stop();
    for (const daemon of [...this.#servers, this.#master]) await daemon.stop();
    for (const { path } of this.#mounts) if (isMounted(path)) execFileSync('umount', ['-l', path]);
  }

  get #daemons(): readonly Daemon[] {
    return [this.#master, ...this.#servers, ...this.#mounts.map(({ daemon }) => daemon)];
  }

  async #mounted(): Promise<void> {
    while (!this.#mounts.every(({ daemon, path }) => daemon.running && isMounted(path))) {
      // A mount that found no master in time has ended, and somebody has to start it again.
      for (const daemon of this.#daemons) daemon.start();
      await sleep(100);
    }
  }

  async #accident(): Promise<void> {
    const victim = this.#dice.pick(this.#daemons);
    const alone = this.#dice.chance(0.8);
    const victims = alone ? [victim] : this.#dice.shuffled(this.#daemons).slice(0, 1 + this.#dice.below(4));
    const downMs = this.#dice.between(0, DOWN_MS_MAX);
    if (this.#dice.chance(0.25)) {
      this.#pauses += 1;
      await victim.pause(this.#dice.between(0, PAUSE_MS_MAX));
      return;
    }
    for (const daemon of victims) if (daemon.running) this.#kills += 1;
    await Promise.all(victims.map((daemon) => daemon.kill()));
    await sleep(downMs);
    for (const daemon of victims) daemon.start();
  }

  #startWriters(): void {
    for (const [mount, { path }] of this.#mounts.entries()) {
      for (let number = 0; number < WRITERS_PER_MOUNT; number += 1) {
        const name = `w${mount}${number}`;
        const manifest = join(this.#directory, `${name}.manifest`);
        writeFileSync(manifest, '');
        this.#manifests.set(name, manifest);
        const script = join(import.meta.dirname, 'writer.js');
        this.#writers.push(
          spawn(process.execPath, [script, path, manifest, name], {
            stdio: ['ignore', 'inherit', 'inherit'],
          }),
        );
      }
    }
  }

  async #stopWriters(): Promise<void> {
    for (const writer of this.#writers.splice(0)) {
      if (writer.exitCode !== null || writer.signalCode !== null) continue;
      const ended = once(writer, 'exit');
      writer.kill('SIGKILL');
      await ended;
    }
  }

  #judge(mount: string, minutes: number): boolean {
    const { acknowledged, problems } = judge(mount, this.#manifests);
    for (const problem of problems.slice(0, 20)) print(problem);
    print(
      `${acknowledged} operations acknowledged, ${this.#kills} kills, ${this.#pauses} pauses, ${problems.length} problems`,
    );
    const enough =
      acknowledged >= ACKNOWLEDGED_PER_MINUTE_MIN * minutes && this.#kills >= KILLS_PER_MINUTE_MIN * minutes;
    if (!enough) print('too little happened: this proves nothing');
    return enough && problems.length === 0;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  server.close();
  await once(server, 'close');
  return port;
}

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, keep: { type: 'boolean' } },
});
const minutes = Number(values.minutes ?? 10);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write('chaos: --minutes and --seed take numbers\n');
  process.exit(2);
}
print(`seed ${seed}; to repeat the order of accidents: npm run chaos -- --seed ${seed} --minutes ${minutes}`);
const chaos = new Chaos(seed, await freePort());
let isGood = false;
try {
  isGood = await chaos.run(minutes);
} finally {
  await chaos.close();
  if (isGood && values.keep !== true) rmSync(chaos.directory, { recursive: true, force: true });
  else print(`logs, data and manifests are in ${chaos.directory}`);
}
process.exitCode = isGood ? 0 : 1;
