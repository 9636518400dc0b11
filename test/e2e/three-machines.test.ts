// The example of three machines runs as it stands, each machine with a network of its own; addresses and directories alone
// are others here.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { NODE_FLAGS } from '../../src/base/node-flags.ts';
import { GFS, isMounted, ROOT, run, skips } from './cluster.ts';
import { Daemon } from './daemon.ts';
import { Namespaces, whyNoNamespaces } from './namespaces.ts';

const EXAMPLE = join(ROOT, 'src/deploy/three-machines');
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  master: ['dist/src/cli/gfs-master.js'],
  chunkserver: ['dist/src/cli/gfs-chunkserver.js'],
  gateway: ['dist/src/cli/gfs.js', 'gateway'],
  mount: ['dist/mount/gfs-mount.js', '--foreground'],
};
/** What others need is started before them, and ended after them. */
const ORDER = Object.keys(PROGRAMS);

class Machines {
  readonly directory = mkdtempSync(join(tmpdir(), 'gfs-machines-'));
  readonly names: readonly string[] = readdirSync(EXAMPLE).sort();
  readonly #network: Namespaces;
  readonly #daemons: Daemon[] = [];

  constructor() {
    this.#network = new Namespaces(this.names);
  }

  mountOf(name: string): string {
    return join(this.directory, name, 'mnt');
  }

  addressOf(name: string): string {
    return this.#network.addressOf(name);
  }

  async start(): Promise<void> {
    for (const program of ORDER) {
      const started = this.names.flatMap((name) => this.#startAll(program, name));
      for (const daemon of started) await daemon.ready();
    }
  }

  /** Of a program that runs on that machine. */
  async run(name: string, ...argv: string[]) {
    const [command = '', ...args] = [...this.#network.enter(name), ...argv];
    return await run(command, args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of [...this.#daemons].reverse()) await daemon.stop();
    for (const name of this.names) {
      if (isMounted(this.mountOf(name))) await run('umount', ['-l', this.mountOf(name)]);
    }
    this.#network.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** One for each of the machine's files for it. */
  #startAll(program: string, name: string): Daemon[] {
    const files = readdirSync(join(EXAMPLE, name)).filter((file) => file.startsWith(program));
    return files.map((file) => {
      const [script = '', ...args] = PROGRAMS[program] ?? [];
      const argv = [...NODE_FLAGS, join(ROOT, script), ...args, '--config', this.#configuration(name, file)];
      if (program === 'mount') {
        mkdirSync(this.mountOf(name), { recursive: true });
        argv.push(this.mountOf(name));
      }
      const enter = this.#network.enter(name);
      const place = join(this.directory, name, 'log');
      const daemon = new Daemon(file, [...enter, process.execPath, ...argv], place);
      this.#daemons.push(daemon);
      daemon.start();
      return daemon;
    });
  }

  /** The example's file with the addresses of these networks, directories below ours, and disks that may be small. */
  #configuration(name: string, file: string): string {
    let text = readFileSync(join(EXAMPLE, name, file), 'utf8');
    for (const machine of this.names) text = text.replaceAll(machine, this.addressOf(machine));
    text = text.replace(/^data: /m, `data: ${join(this.directory, name)}`).replace('10GiB', '64MiB');
    const path = join(this.directory, `${name}-${file}`);
    writeFileSync(path, text);
    return path;
  }
}

test('three machines with the example files share a directory', async (t) => {
  t.timeout(120_000);
  if (skips(t)) return;
  const reason = whyNoNamespaces();
  if (reason !== undefined) {
    t.log(`skipped: ${reason}`);
    t.pass();
    return;
  }
  await using machines = new Machines();
  await machines.start();
  const [one = '', two = '', three = ''] = machines.names;
  for (const name of machines.names) {
    writeFileSync(join(machines.mountOf(name), name), `written on ${name}\n`);
  }
  for (const name of machines.names) {
    const seen = machines.names.map((other) => readFileSync(join(machines.mountOf(name), other), 'utf8'));
    t.deepEqual(
      seen,
      machines.names.map((other) => `written on ${other}\n`),
    );
  }
  const master = ['--master', `${machines.addressOf(one)}:7400`];
  const { stdout } = await machines.run(two, process.execPath, GFS, 'stat', `/${three}`, '--json', ...master);
  const { extents } = JSON.parse(stdout) as { extents: { replicas: { server: number }[] }[] };
  t.is(new Set(extents[0]?.replicas.map(({ server }) => server)).size, 3, 'each machine has a copy');
  const ready = `fetch('http://${machines.addressOf(three)}:7600/readyz').then(async ({ status }) => process.stdout.write(String(status)))`;
  t.is((await machines.run(one, process.execPath, '-e', ready)).stdout, '200', 'a mount can be watched');
});
