import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { MiB } from '../../src/base/units.ts';
import type { MasterOptions } from '../../src/master/master-options.ts';
import { MasterServer } from '../../src/master/master-server.ts';
import { type Caller, type CommandContext, MasterDefinition } from '../../src/rpc/messages.ts';
import type { CallOptions, Connection, Method } from '../../src/rpc/network.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { lmdbMetaStores } from '../../src/storage/meta-store-lmdb.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { FakeChunkserver } from './fake-chunkserver.ts';

export const env = new NodeEnv(silentLogger);
export const disk = new NodeDisk();
export const network = new NodeNetwork({ env });

export const ROOT: Caller = { uid: 0, gid: 0, groups: [] };
export const ALICE: Caller = { uid: 1000, gid: 1000, groups: [] };
export const BOB: Caller = { uid: 1001, gid: 1001, groups: [] };

/** A data directory, the masters started in it one after another, and fake chunkservers that speak to them. */
export class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'gfs-master-'));
  readonly #options: Partial<MasterOptions>;
  readonly #masters: MasterServer[] = [];
  readonly #connections: Connection[] = [];
  readonly #servers: FakeChunkserver[] = [];
  /** As long as it is set, restarted masters are found at the same place. */
  #address = '127.0.0.1:0';

  constructor(t: ExecutionContext, options: Partial<MasterOptions> = {}) {
    this.#options = options;
    t.teardown(async () => {
      await Promise.all(this.#servers.map((server) => server.close()));
      await Promise.all(this.#connections.map((connection) => connection.close()));
      await Promise.all(this.#masters.map((master) => master.close()));
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  async start(options: Partial<MasterOptions> = {}): Promise<MasterServer> {
    const master = await MasterServer.start({
      env,
      disk,
      network,
      openStore: lmdbMetaStores(disk),
      dataDirectory: join(this.directory, 'data'),
      listen: this.#address,
      heartbeatIntervalMs: 20,
      onFatal: (error) => {
        throw error;
      },
      ...this.#options,
      ...options,
    });
    this.#address = master.address;
    this.#masters.push(master);
    return master;
  }

  async restart(): Promise<MasterServer> {
    await this.#masters.at(-1)?.close();
    return await this.start();
  }

  /** A client's way to the master; it survives a restart of the master. */
  client(): Client {
    const connection = network.connect(this.#address);
    this.#connections.push(connection);
    return new Client(connection);
  }

  /** A chunkserver that has registered and beats. */
  async chunkserver(options: { space?: number; device?: number } = {}): Promise<FakeChunkserver> {
    const server = new FakeChunkserver({
      network,
      env,
      master: this.#address,
      freeBytes: options.space ?? 1000 * MiB,
      device: options.device ?? this.#servers.length,
    });
    this.#servers.push(server);
    await server.start();
    return server;
  }

  async chunkservers(count: number): Promise<FakeChunkserver[]> {
    const servers: FakeChunkserver[] = [];
    for (let index = 0; index < count; index += 1) servers.push(await this.chunkserver());
    return servers;
  }
}

const { methods } = MasterDefinition;

/** Calls to a master, with a session whose commands are numbered. */
export class Client {
  readonly connection: Connection;
  session = 0;
  #number = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Fields that are left out have their zero value. */
  async call<Req, Res>(method: Method<Req, Res>, request: Partial<Req>, options?: CallOptions): Promise<Res> {
    const whole = { ...method.requestType.create(), ...request };
    return (await this.connection.call(method, whole, options)).message;
  }

  async open(options: { kernelWalksPaths?: boolean } = {}): Promise<this> {
    const answer = await this.call(methods.openSession, { host: 'test', program: 'test', ...options });
    this.session = answer.session;
    return this;
  }

  context(caller = ROOT): CommandContext {
    this.#number += 1;
    const number = this.session === 0 ? 0 : this.#number;
    return { caller, session: this.session, number, acknowledged: 0, closed: [] };
  }

  async create(
    name: string,
    options: { reserve?: boolean; mode?: number; parent?: number; caller?: Caller } = {},
  ) {
    const created = await this.call(methods.createFile, {
      context: this.context(options.caller),
      parent: options.parent ?? 1,
      name: Buffer.from(name),
      mode: options.mode ?? 0o644,
      reserveChunk: options.reserve ?? true,
      read: true,
      write: true,
    });
    return { ...created, inode: created.attributes?.inode ?? 0 };
  }

  async close(inode: number, openId: number, length?: number) {
    const commit = length === undefined ? undefined : { length, mtime: undefined };
    return await this.call(methods.close, { context: this.context(), inode, openId, commit });
  }

  async unlink(name: string) {
    await this.call(methods.unlink, { context: this.context(), parent: 1, name: Buffer.from(name) });
  }

  async find(inode: number, options: { forWrite?: boolean; suspectVersion?: number; offset?: number } = {}) {
    return await this.call(methods.findChunks, {
      caller: ROOT,
      inode,
      count: 10,
      fileOffset: options.offset ?? 0,
      forWrite: options.forWrite ?? false,
      forSync: false,
      suspectVersion: options.suspectVersion ?? 0,
    });
  }
}

export async function codeFrom(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Waits, a second or so, until it is true: for what happens in the background. */
export async function eventually(t: ExecutionContext, what: string, check: () => boolean | Promise<boolean>) {
  for (let waited = 0; waited < 300; waited += 1) {
    if (await check()) {
      t.pass();
      return;
    }
    await env.sleep(10);
  }
  t.fail(`did not happen: ${what}`);
}
