// A chunkserver dies for good, on real processes: its copies are made again, while the file is written to.
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { skips } from './cluster.ts';
import { DaemonCluster, type Extent } from './daemon-cluster.ts';
import { LineAppender } from './line-appender.ts';

test.serial(
  'copies of a server that died are made on others, and what it held is deleted when it is back',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    const cluster = await DaemonCluster.create({ mounts: 1, master: ['--repair-grace', '2s'] });
    try {
      await cluster.start();
      const content = Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 7) % 251));
      await writeFile(cluster.path('file'), content);
      await writeFile(cluster.path('log'), 'begun\n');
      const [dying] = cluster.servers;
      const dead = (await dying?.ready())?.id;
      const lacking = async () =>
        (await cluster.extents('file')).filter(({ replicas }) => isOn(replicas, dead));
      t.true((await lacking()).length > 0, 'it holds copies');

      const writer = new LineWriter(cluster.path('log'));
      await dying?.kill();
      const isWhole = ({ version, replicas }: Extent) =>
        replicas.length === 3 &&
        replicas.every((replica) => replica.version === version && replica.server !== dead);
      for (const path of ['file', 'log']) {
        while (!(await cluster.extents(path)).every(isWhole)) await sleep(200);
      }
      const lines = await writer.stop();
      t.is(await readFile(cluster.path('log'), 'utf8'), `begun\n${lines.join('')}`);
      t.true(lines.length > 0);
      t.true((await readFile(cluster.path('file'))).equals(content));
      t.deepEqual(await cluster.checkMembers(['file', 'log']), []);

      // Under the old versions nobody needs its copies any more.
      dying?.start();
      await dying?.ready();
      while ((await cluster.extents('file')).some(({ others }) => others.length > 0)) await sleep(200);
      t.true((await cluster.extents('file')).every(isWhole));
      t.true((await readFile(cluster.path('file'))).equals(content));
    } finally {
      await cluster.close();
    }
  },
);

/** Appends one line after the other, as fast as they are told. */
class LineWriter {
  readonly #appender: LineAppender;
  readonly #lines: string[] = [];
  readonly #work: Promise<void>;
  #stopped = false;

  constructor(path: string) {
    this.#appender = new LineAppender(path);
    this.#work = this.#run();
  }

  /** Resolves to the lines that were acknowledged. */
  async stop(): Promise<readonly string[]> {
    this.#stopped = true;
    await this.#work;
    await this.#appender.close();
    return this.#lines;
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#stopped; number += 1) {
      const line = `line ${number} of a log that goes on while copies are made\n`;
      if (!(await this.#appender.append(line))) throw new Error(`line ${number} was not acknowledged`);
      this.#lines.push(line);
    }
  }
}

function isOn(replicas: Extent['replicas'], server: unknown): boolean {
  return replicas.some((replica) => replica.server === server);
}
