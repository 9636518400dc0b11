// The master's log and store under kills and power cuts: what was answered is there afterwards, what is there was asked
// for, and a command that is sent again gets its first answer.
import { assert } from '../../../src/base/assert.ts';
import { ROOT_INODE, type SessionId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { KiB } from '../../../src/base/units.ts';
import { INTERNAL, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { MetadataEngine } from '../../../src/master/metadata-engine.ts';
import { KeptStores } from '../kept-stores.ts';
import type { Random } from '../random.ts';
import { SimDisk, type SyncCall } from '../sim-disk.ts';
import { SimEnv } from '../sim-env.ts';
import { Simulation } from '../simulation.ts';

const LIVES = 10;
const WRITERS = 4;
const DIRECTORY = '/var/lib/master';

export interface CrashOptions {
  readonly ignoreSync?: (call: SyncCall) => boolean;
  readonly onTrace?: (line: string) => void;
}

/** A command that is sent until it is answered. */
interface Sent {
  readonly name: string;
  readonly number: number;
}

/** Rejects when the seed finds something wrong; resolves to the trace's hash. */
const DESCRIPTION = { host: 'host', program: 'test', kernelWalksPaths: false };

export async function metadataCrashes(seed: number, options: CrashOptions = {}): Promise<string> {
  const simulation = new Simulation(`metadata ${seed}`);
  simulation.onTrace = options.onTrace;
  await simulation.run(() => new Story(simulation, options).run(), { untilMs: 600_000 });
  return simulation.traceHash;
}

class Story {
  readonly #simulation: Simulation;
  readonly #dice: Random;
  readonly #disk: SimDisk;
  readonly #stores: KeptStores;
  /** Answered: these have to be there. */
  readonly #answered = new Map<string, number>();
  /** Sent and not answered: these may be there. */
  readonly #open = new Map<string, Sent>();
  #session: SessionId | undefined;
  #numbers = 0;
  #filesystemId: string | undefined;

  constructor(simulation: Simulation, { ignoreSync }: CrashOptions) {
    this.#simulation = simulation;
    this.#dice = simulation.random.fork('story');
    this.#disk = new SimDisk(simulation, 'master');
    this.#disk.ignoreSync = ignoreSync;
    this.#stores = new KeptStores(simulation.random.fork('stores'));
  }

  async run(): Promise<void> {
    for (let life = 0; life < LIVES; life += 1) await this.#live(life);
    const engine = await this.#start(new SimEnv(this.#simulation, 'last life'));
    this.#check(engine);
    await Promise.all([...this.#open.values()].map((sent) => this.#send(engine, sent)));
    this.#check(engine);
    await engine.close();
  }

  /** One process, from its start to its end, of which it may see nothing. */
  async #live(life: number): Promise<void> {
    const env = new SimEnv(this.#simulation, `life ${life}`);
    let engine: MetadataEngine | undefined;
    const living = this.#start(env).then(async (started) => {
      engine = started;
      await this.#work(env, started);
    });
    living.catch((error: unknown) => this.#simulation.fail(error));
    await this.#simulation.sleep(this.#dice.pick([5, 20, 100, 300]) * this.#dice.next());
    const end = this.#dice.pick(['kill', 'power', 'kill', 'power', 'close'] as const);
    this.#simulation.trace(`life ${life} ends: ${end}`);
    if (end === 'close' && engine !== undefined) await engine.close();
    if (end === 'power') {
      this.#disk.powerCut();
      this.#stores.losePower();
    } else {
      this.#disk.kill(env);
    }
  }

  #start(env: SimEnv): Promise<MetadataEngine> {
    const disk = this.#disk.processView(env);
    return MetadataEngine.start({
      env,
      disk,
      directory: DIRECTORY,
      openStore: this.#stores.opener(disk),
      onFatal: (error) => this.#simulation.fail(error),
      checkpointIntervalMs: 40,
      checkpointLogBytes: 2 * KiB,
      segmentBytes: 1 * KiB,
      fillBytes: 512,
    });
  }

  async #work(env: SimEnv, engine: MetadataEngine): Promise<void> {
    this.#check(engine);
    if (this.#session === undefined) {
      const session = engine.dealSession();
      unwrap(await engine.execute(INTERNAL, 'openSession', { ...DESCRIPTION, session }));
      this.#session = session;
    }
    await Promise.all([...this.#open.values()].map((sent) => this.#send(engine, sent)));
    const ended = () => undefined;
    for (let writer = 0; writer < WRITERS; writer += 1) this.#write(env, engine).catch(ended);
  }

  async #write(env: SimEnv, engine: MetadataEngine): Promise<void> {
    for (;;) {
      await env.sleep(this.#dice.between(0, 10));
      this.#numbers += 1;
      const sent = { number: this.#numbers, name: `${this.#numbers} ${'x'.repeat(this.#dice.below(200))}` };
      this.#open.set(sent.name, sent);
      await this.#send(engine, sent);
    }
  }

  async #send(engine: MetadataEngine, { name, number }: Sent): Promise<void> {
    assert(this.#session !== undefined, 'commands are sent in a session');
    const oldest = Math.min(...[...this.#open.values()].map((sent) => sent.number));
    const context = { caller: ROOT_CALLER, session: this.#session, number, acknowledged: oldest - 1 };
    const made = unwrap(
      await engine.execute(context, 'makeNode', {
        parent: ROOT_INODE,
        name: Buffer.from(name),
        inode: engine.dealInode(),
        type: FileType.DIRECTORY,
        mode: 0o755,
        rdev: 0,
        symlinkTarget: Buffer.alloc(0),
      }),
    );
    for (const inode of this.#answered.values()) assert(inode !== made.inode, `inode ${inode} is dealt once`);
    this.#open.delete(name);
    this.#answered.set(name, made.inode);
  }

  #check(engine: MetadataEngine): void {
    this.#filesystemId ??= engine.filesystem.id;
    assert(engine.filesystem.id === this.#filesystemId, 'the file system stays the same one');
    const there = new Map<string, number>();
    const page = { after: Buffer.alloc(0), limit: 100_000, withAttributes: false };
    for (const entry of unwrap(engine.state.list(ROOT_CALLER, ROOT_INODE, page)).entries) {
      there.set(entry.name.toString(), entry.inode);
    }
    for (const [name, inode] of this.#answered) {
      assert(there.get(name) === inode, `${name} was answered, and is there`);
    }
    for (const name of there.keys()) {
      assert(this.#answered.has(name) || this.#open.has(name), `${name} is there, and was asked for`);
    }
  }
}
