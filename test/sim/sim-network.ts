// The network between simulated machines: connections that keep their order as TCP does, through latency, partitions,
// dead processes (whose machine says so) and machines without power (which say nothing).
import { crc32 } from '../../src/base/crc.ts';
import { GfsError } from '../../src/base/errors.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import { Handlers } from '../../src/rpc/contract.ts';
import { LIMITS_DEFAULT } from '../../src/rpc/limits.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';
import type { Connection, Listener, Network, ServiceBinding } from '../../src/rpc/network.ts';
import type { Encoded } from '../../src/rpc/wire-message.ts';
import { hashOf, type Random } from './random.ts';
import { SimConnection } from './sim-client.ts';
import type { SimEnv } from './sim-env.ts';
import { type Carrier, type Frame, LinkEnd } from './sim-link.ts';
import { SimListener } from './sim-server.ts';
import type { Simulation } from './simulation.ts';

const {
  dialTimeoutMs: DIAL_TIMEOUT_MS,
  pingAfterMs: PING_AFTER_MS,
  silenceMsMax: SILENCE_MS_MAX,
} = LIMITS_DEFAULT;
const { setVersion, apply, mutate } = ChunkserverDefinition.methods;
const BYTES_PER_MS = 1_000_000;
const PORT_FIRST = 20_000;

/** A frame on its way, as a checker sees it. */
export interface Passing {
  /** Machines. */
  readonly from: string;
  readonly to: string;
  /** Both ends' addresses: the same for both directions, and with a call's number one call of all. */
  readonly connection: string;
  readonly frame: Frame;
}

export class SimNetwork implements Carrier {
  /** Called as a frame leaves its sender, and as it arrives. */
  readonly onSent: ((passing: Passing) => void)[] = [];
  readonly onArrived: ((passing: Passing) => void)[] = [];
  /** One way, for each frame. */
  latencyMsMin = 0.02;
  latencyMsMax = 0.2;
  /** Some frames take this much longer, and hold up what comes after them. */
  spikeChance = 0;
  spikeMsMax = 0;
  /** Of a frame with file data: one bit of it arrives wrong. */
  flipChance = 0;
  /** Of what a chunkserver is ordered or asked to change: it arrives once more, this much later, over a connection of its own. */
  copyChance = 0;
  copyMsMax = 0;
  /** Of one client on one connection. */
  callsInFlightMax = LIMITS_DEFAULT.callsInFlightMax;
  readonly simulation: Simulation;
  readonly #dice: Random;
  readonly #listeners = new Map<string, SimListener>();
  readonly #ends = new Set<LinkEnd>();
  readonly #withoutPower = new Set<string>();
  /** "from to": what goes that way is held up. */
  readonly #blocked = new Set<string>();
  /** Frames that have not arrived yet, by the process that sent them. */
  readonly #onTheirWay = new Map<SimEnv, number>();
  /** When the last frame from one machine to another arrives, over whichever connection. */
  readonly #lastArrivalMs = new Map<string, number>();
  #portNext = PORT_FIRST;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
    this.#dice = simulation.random.fork('network');
  }

  /** The network as one process on that machine sees it. Addresses are "machine:port". */
  processView(env: SimEnv, machine: string): Network {
    return new ProcessView(this, env, machine);
  }

  /** The machine closes the connections of a process that has died. */
  processDied(env: SimEnv): void {
    for (const end of this.#ends) {
      if (end.env !== env) continue;
      end.close();
      this.#ends.delete(end);
    }
  }

  /** The machine falls silent: nobody is told that its connections are gone. */
  powerOff(machine: string): void {
    this.#withoutPower.add(machine);
    this.#breakPeers(machine, () => SILENCE_MS_MAX);
  }

  /** The machine answers again, and knows nothing of its old connections. */
  powerOn(machine: string): void {
    if (!this.#withoutPower.delete(machine)) return;
    this.#breakPeers(machine, () => this.#dice.between(0, PING_AFTER_MS));
  }

  /** The process stands still. Whoever hears nothing of it for too long gives its connections up. */
  processPaused(env: SimEnv): void {
    this.simulation.schedule(SILENCE_MS_MAX, () => {
      if (!env.paused) return;
      for (const end of this.#ends) {
        if (end.env !== env || end.peer === undefined) continue;
        this.#breakAfter(0, end.peer, 'no answer');
        this.#breakAfter(0, end, 'closed by the other side');
      }
    });
  }

  /** Nothing passes between the two until `heal`; connections that wait too long break. */
  partition(one: string, other: string): void {
    this.block(one, other);
    this.block(other, one);
  }

  /** Nothing passes from the one to the other, but it does the other way. */
  block(from: string, to: string): void {
    this.simulation.trace(`block ${from} > ${to}`);
    this.#blocked.add(wayOf(from, to));
  }

  /** Both ways. */
  heal(one: string, other: string): void {
    this.#unblock(one, other);
    this.#unblock(other, one);
  }

  #unblock(from: string, to: string): void {
    if (!this.#blocked.delete(wayOf(from, to))) return;
    this.simulation.trace(`unblock ${from} > ${to}`);
    for (const end of this.#ends) {
      const { peer } = end;
      if (peer?.machine !== from || end.machine !== to) continue;
      for (const frame of this.#release(peer, end)) this.#send(peer, end, frame);
    }
  }

  /** All connections of the machine break at both ends. */
  reset(machine: string): void {
    for (const end of this.#ends) {
      if (end.machine !== machine || end.peer === undefined) continue;
      this.#breakAfter(0, end, 'closed by the other side');
      this.#breakAfter(0, end.peer, 'closed by the other side');
    }
  }

  healAll(): void {
    for (const way of [...this.#blocked]) {
      const [from = '', to = ''] = way.split(' ');
      this.#unblock(from, to);
    }
  }

  listen(address: string, env: SimEnv, machine: string, services: readonly ServiceBinding[]): SimListener {
    const [host, port] = splitAddress(address);
    if (host !== machine)
      throw new GfsError('INVALID_ARGUMENT', `${address} is not an address of ${machine}`);
    if (port === 0) this.#portNext += 1;
    const real = `${host}:${port === 0 ? this.#portNext : port}`;
    if (this.#listeners.get(real)?.env.alive)
      throw new GfsError('ALREADY_RUNNING', `${real}: the port is in use`);
    const listener = new SimListener(real, env, new Handlers(services), () => {
      if (this.#listeners.get(real) === listener) this.#listeners.delete(real);
    });
    this.#listeners.set(real, listener);
    return listener;
  }

  /** The client's end of a new link; rejects as `NodeNetwork`'s calls do. */
  async dial(env: SimEnv, machine: string, address: string): Promise<LinkEnd> {
    const { simulation } = this;
    const [host] = splitAddress(address);
    const unreachable = (why: string) => new GfsError('UNAVAILABLE', `cannot reach ${address}: ${why}`);
    const startMs = simulation.nowMs;
    await simulation.sleep(this.#latencyMs() + this.#latencyMs(), env);
    while (!this.#reaches(machine, host) || this.#listeners.get(address)?.env.paused) {
      if (simulation.nowMs - startMs >= DIAL_TIMEOUT_MS) throw unreachable('no answer');
      await simulation.sleep(SECOND_MS, env);
    }
    const listener = this.#listeners.get(address);
    if (listener === undefined || !listener.accepting) throw unreachable('connection refused');
    this.#portNext += 1;
    const near = new LinkEnd(this, { env, machine, address: `${machine}:${this.#portNext}` });
    const far = new LinkEnd(this, { env: listener.env, machine: host, address });
    LinkEnd.join(near, far);
    this.#ends.add(near).add(far);
    listener.accept(far);
    simulation.trace(`${env.name} connects to ${listener.env.name}`);
    await simulation.sleep(this.#latencyMs(), env);
    if (!near.open) throw unreachable('closed by the other side');
    return near;
  }

  /** Whether somebody answers there. */
  serves(address: string): boolean {
    return this.#listeners.get(address)?.accepting === true;
  }

  /** Something that the process sent may arrive yet. */
  isOnItsWay(env: SimEnv): boolean {
    return this.#onTheirWay.has(env);
  }

  carry(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    for (const watch of this.onSent) watch(passing(from, to, frame));
    this.#send(from, to, frame);
    if (this.copyChance > 0 && isOrder(frame) && this.#dice.chance(this.copyChance))
      this.#sendCopy(from, to, frame);
  }

  /** As of a caller who was not answered, tried again over another connection, and whose first try comes last. */
  #sendCopy(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    this.#count(from.env, 1);
    this.simulation.schedule(this.#dice.between(0, this.copyMsMax), () => {
      this.#count(from.env, -1);
      const listener = this.#listeners.get(to.address);
      if (listener === undefined || !listener.accepting || !this.#reaches(from.machine, to.machine)) return;
      const near = new LinkEnd(this, { env: from.env, machine: from.machine, address: from.address });
      const far = new LinkEnd(this, { env: listener.env, machine: to.machine, address: to.address });
      LinkEnd.join(near, far);
      listener.accept(far);
      this.simulation.count('late copy of a request');
      this.#count(from.env, 1);
      this.#arrive(near, far, frame);
    });
  }

  #send(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    const travelMs = this.#latencyMs() + bytesOf(frame) / BYTES_PER_MS;
    const { nowMs } = this.simulation;
    to.lastArrivalMs = Math.max(to.lastArrivalMs, nowMs + travelMs);
    if (this.spikeChance > 0) this.#countOvertaking(from, to);
    const arriving = this.flipChance > 0 ? this.#perhapsFlipped(frame) : frame;
    this.#count(from.env, 1);
    this.simulation.schedule(to.lastArrivalMs - nowMs, () => this.#arrive(from, to, arriving));
  }

  /** Connections keep their order, but one overtakes another. */
  #countOvertaking(from: LinkEnd, to: LinkEnd): void {
    const way = wayOf(from.machine, to.machine);
    const lastMs = this.#lastArrivalMs.get(way) ?? 0;
    if (to.lastArrivalMs < lastMs) this.simulation.count('reordered frames');
    else this.#lastArrivalMs.set(way, to.lastArrivalMs);
  }

  /** File data alone: it carries checksums of its own, while messages rely on the network's. */
  #perhapsFlipped(frame: Frame): Frame {
    if (frame.kind !== 'open' && frame.kind !== 'message') return frame;
    const { data } = frame;
    const payload = data?.payload[0];
    if (data === undefined || payload === undefined || payload.length === 0) return frame;
    if (!this.#dice.chance(this.flipChance)) return frame;
    const flipped = Buffer.from(payload);
    const at = this.#dice.below(flipped.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << this.#dice.below(8));
    this.simulation.count('bit flipped on the wire');
    return { ...frame, data: { ...data, payload: [flipped, ...data.payload.slice(1)] } };
  }

  #arrive(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    const isReachable = !this.#withoutPower.has(to.machine);
    if (isReachable && (this.#blocked.has(wayOf(from.machine, to.machine)) || to.held.length > 0)) {
      if (to.held.length === 0) this.#breakIfHeld(from, to, frame);
      to.held.push(frame);
      return;
    }
    this.#count(from.env, -1);
    if (!isReachable) return;
    if (to.env.alive && to.open) {
      this.#traceFrame(from, to, frame);
      if (frame.kind === 'open' && this.simulation.onTrace !== undefined)
        this.simulation.note(requestText(frame));
      for (const watch of this.onArrived) watch(passing(from, to, frame));
      to.arrive(frame);
      if (!to.open) this.#ends.delete(to);
    } else if (frame.kind !== 'closed') {
      // The machine says that nobody is there (any more).
      this.#breakAfter(this.#latencyMs(), from, 'closed by the other side');
    }
  }

  #traceFrame(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    const text = () => `${from.env.name} > ${to.env.name} ${textOf(frame)}`;
    const call = frame.kind === 'closed' ? 0 : frame.call;
    const data = frame.kind === 'open' || frame.kind === 'message' ? frame.data : undefined;
    const what =
      frame.kind === 'open' ? frame.route.fullName : frame.kind === 'error' ? frame.detail.code : frame.kind;
    const ends = frame.kind === 'message' && frame.end ? 1 : 0;
    const [one, other] = [from.env.nameHash, to.env.nameHash];
    const size = data?.sizeBytes ?? 0;
    this.simulation.traceNumbers(text, one, other, call, hashOf(what), ends, size, checksumOf(data?.message));
  }

  #breakIfHeld(from: LinkEnd, to: LinkEnd, frame: Frame): void {
    this.simulation.schedule(SILENCE_MS_MAX, () => {
      if (to.held[0] !== frame) return;
      this.#release(from, to);
      this.#breakAfter(0, from, 'no answer');
      this.#breakAfter(0, to, 'no answer');
    });
  }

  /** What is held up on its way to that end. */
  #release(from: LinkEnd, to: LinkEnd): Frame[] {
    const frames = to.held.splice(0);
    this.#count(from.env, -frames.length);
    return frames;
  }

  #count(sender: SimEnv, change: number): void {
    const count = (this.#onTheirWay.get(sender) ?? 0) + change;
    if (count === 0) this.#onTheirWay.delete(sender);
    else this.#onTheirWay.set(sender, count);
  }

  #breakPeers(machine: string, delayMs: () => number): void {
    for (const end of this.#ends) {
      if (end.machine !== machine || end.peer === undefined) continue;
      this.#breakAfter(delayMs(), end.peer, 'no answer');
    }
  }

  #breakAfter(delayMs: number, end: LinkEnd, reason: string): void {
    this.simulation.schedule(delayMs, () => {
      if (!end.open) return;
      this.simulation.trace(`${end.env.name} loses ${end.peer?.env.name}: ${reason}`);
      this.#ends.delete(end);
      end.break(reason);
    });
  }

  #reaches(one: string, other: string): boolean {
    const open = !this.#blocked.has(wayOf(one, other)) && !this.#blocked.has(wayOf(other, one));
    return open && !this.#withoutPower.has(other);
  }

  #latencyMs(): number {
    const spikeMs = this.#dice.chance(this.spikeChance) ? this.#dice.between(0, this.spikeMsMax) : 0;
    return this.#dice.between(this.latencyMsMin, this.latencyMsMax) + spikeMs;
  }
}

class ProcessView implements Network {
  readonly #network: SimNetwork;
  readonly #env: SimEnv;
  readonly #machine: string;

  constructor(network: SimNetwork, env: SimEnv, machine: string) {
    this.#network = network;
    this.#env = env;
    this.#machine = machine;
  }

  async listen(address: string, services: readonly ServiceBinding[]): Promise<Listener> {
    return this.#network.listen(address, this.#env, this.#machine, services);
  }

  connect(address: string): Connection {
    return new SimConnection(address, {
      env: this.#env,
      dial: (to) => this.#network.dial(this.#env, this.#machine, to),
      callsInFlightMax: this.#network.callsInFlightMax,
    });
  }
}

function splitAddress(address: string): [host: string, port: number] {
  const at = address.lastIndexOf(':');
  const port = Number(address.slice(at + 1));
  if (at < 1 || !Number.isInteger(port)) {
    throw new GfsError('INVALID_ARGUMENT', `${address} is not an address such as host:port`);
  }
  return [address.slice(0, at), port];
}

/** What the protocol has to withstand a second time, however late: its versions and numbers are there for it. */
const ORDER_NAMES: ReadonlySet<string> = new Set([setVersion.name, apply.name, mutate.name]);

function isOrder(frame: Frame): boolean {
  return frame.kind === 'open' && frame.data !== undefined && ORDER_NAMES.has(frame.route.method.name);
}

function wayOf(from: string, to: string): string {
  return `${from} ${to}`;
}

function bytesOf(frame: Frame): number {
  return frame.kind === 'open' || frame.kind === 'message' ? (frame.data?.sizeBytes ?? 0) : 0;
}

function textOf(frame: Frame): string {
  switch (frame.kind) {
    case 'open':
      return `#${frame.call} ${frame.route.fullName} ${digestOf(frame.data)}`;
    case 'message':
      return `#${frame.call} ${digestOf(frame.data)}${frame.end ? ' end' : ''}`;
    case 'error':
      return `#${frame.call} ${frame.detail.code}: ${frame.detail.message}`;
    case 'cancel':
      return `#${frame.call} cancel`;
    case 'credit':
      return `#${frame.call} credit ${frame.bytes}`;
    case 'closed':
      return 'closed';
  }
}

/** Length and checksum of the message. A payload's checksums are in the message or in what was read before it. */
function digestOf(data: Encoded | undefined): string {
  if (data === undefined) return '-';
  return `${data.sizeBytes} ${checksumOf(data.message).toString(16)}`;
}

/** Most messages are so short that the way to native code and back costs more than the work. */
function checksumOf(message: Uint8Array | undefined): number {
  if (message === undefined) return 0;
  if (message.length > 200) return crc32(message);
  let hash = 0x811c9dc5;
  for (let at = 0; at < message.length; at += 1) hash = Math.imul(hash ^ (message[at] ?? 0), 0x01000193);
  return hash >>> 0;
}

/** The request itself, for people. */
function requestText({ route, data }: Extract<Frame, { kind: 'open' }>): string {
  if (data === undefined) return '';
  return `  ${route.method.name} ${JSON.stringify(route.method.requestType.decode(data.message))}`;
}

function passing(from: LinkEnd, to: LinkEnd, frame: Frame): Passing {
  return { from: from.machine, to: to.machine, connection: from.connection, frame };
}
