import type { Replica } from '../rpc/messages.ts';

/** Whether an address "host:port" is on the machine with this name. */
export function isLocal(address: string, host: string): boolean {
  const name = address.slice(0, address.lastIndexOf(':'));
  return name === host || name === 'localhost' || name === '[::1]' || name.startsWith('127.');
}

/**
 * Members in the order to ask them: on this machine first, then the others; equally near ones in turn, by `turn`, so
 * that readers spread; suspects last. One that a restarted master has not heard of yet has no address and is left out.
 */
export function nearestFirst(
  members: readonly Replica[],
  host: string,
  turn: number,
  isSuspect: (member: Replica) => boolean,
): Replica[] {
  const near: Replica[] = [];
  const far: Replica[] = [];
  const suspects: Replica[] = [];
  members.forEach((_, index) => {
    const member = members[(index + turn) % members.length];
    if (member === undefined || member.address === '') return;
    if (isSuspect(member)) suspects.push(member);
    else if (isLocal(member.address, host)) near.push(member);
    else far.push(member);
  });
  near.push(...far, ...suspects);
  return near;
}
