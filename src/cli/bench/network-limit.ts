import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { isLoopback, parseAddress } from '../../rpc/address.ts';
import type { ServerStatus } from '../../rpc/messages.ts';

const BITS_PER_BYTE = 8;
const MEGABIT = 1e6;
const ANY_PORT = 9;

/** What bounds the network between clients and servers. */
export type NetworkPath =
  /** All are on this machine: what a plain stream between two processes carries is measured, by this address. */
  | { readonly kind: 'loopback'; readonly host: string }
  /** What the interface's driver says of its speed. */
  | { readonly kind: 'link'; readonly interface: string; readonly bytesPerSecond: number }
  | { readonly kind: 'unknown'; readonly why: string };

/** By which way the servers are reached. */
export async function networkPathTo(
  servers: readonly Pick<ServerStatus, 'address' | 'alive'>[],
): Promise<NetworkPath> {
  const addresses = servers.filter(({ alive }) => alive).map(({ address }) => address);
  const hosts = await Promise.all(addresses.map(resolved));
  const own = new Set(ownAddresses().map(({ address }) => address));
  const isHere = (host: string) => own.has(host) || isLoopback(addressOf(host));
  const [first] = hosts;
  if (first !== undefined && hosts.every(isHere)) return { kind: 'loopback', host: first };
  const away = hosts.find((host) => !isHere(host));
  if (away === undefined) return { kind: 'unknown', why: 'no server is known' };
  return await linkTo(away);
}

async function resolved(address: string): Promise<string> {
  const { host } = parseAddress(address);
  return (await lookup(host).catch(() => ({ address: host }))).address;
}

async function linkTo(host: string): Promise<NetworkPath> {
  const local = await localAddressTo(host).catch(() => undefined);
  const name = ownAddresses().find(({ address }) => address === local)?.name;
  if (name === undefined) return { kind: 'unknown', why: `no interface leads to ${host}` };
  const text = await readFile(`/sys/class/net/${name}/speed`, 'utf8').catch(() => '');
  const megabits = Number(text);
  if (!(megabits > 0)) return { kind: 'unknown', why: `${name} does not tell its speed` };
  return { kind: 'link', interface: name, bytesPerSecond: (megabits * MEGABIT) / BITS_PER_BYTE };
}

/** Which of this machine's addresses packets would come from. Connecting a datagram socket sends none. */
async function localAddressTo(host: string): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    socket.connect(ANY_PORT, host);
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}

function ownAddresses(): { name: string; address: string }[] {
  return Object.entries(networkInterfaces()).flatMap(([name, all]) =>
    (all ?? []).map(({ address }) => ({ name, address })),
  );
}

function addressOf(host: string): string {
  return host.includes(':') ? `[${host}]:0` : `${host}:0`;
}
