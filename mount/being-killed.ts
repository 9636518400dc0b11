import { readFile } from 'node:fs/promises';

/** Signals that end a process unless it has something else in mind: all but those that stop it, or that are for its children. */
const ENDING = maskOf((signal) => ![17, 18, 19, 20, 21, 22, 23, 28].includes(signal));

/** Whether a thread of this machine has a signal coming that ends it; false also for one that we cannot see. */
export async function isBeingKilled(thread: number): Promise<boolean> {
  if (thread === 0) return false;
  try {
    return hasEndingSignal(await readFile(`/proc/${thread}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** The same of what /proc/PID/status says. The kernel turns what ends a process at once into a SIGKILL for each thread. */
export function hasEndingSignal(status: string): boolean {
  const mask = (field: string) =>
    BigInt(`0x${new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? 0}`);
  const pending = mask('SigPnd') | mask('ShdPnd');
  return (pending & ENDING & ~(mask('SigBlk') | mask('SigIgn') | mask('SigCgt'))) !== 0n;
}

function maskOf(isIn: (signal: number) => boolean): bigint {
  let mask = 0n;
  for (let signal = 1; signal <= 64; signal += 1) if (isIn(signal)) mask |= 1n << BigInt(signal - 1);
  return mask;
}
