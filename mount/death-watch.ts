import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { mount } from '../native/index.ts';
import { messageOf } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';

/** Has a directory for each connection, named by its device's minor number, when "fusectl" is mounted there. */
const CONTROL = '/sys/fs/fuse/connections';
/**
 * The shell waits until the other end of its input is closed, by whatever ended this process, and then ends the connection.
 * What asks a process to end it leaves to this one.
 */
const SCRIPT = "trap '' HUP INT TERM; read -r nothing; echo 1 >&3";

/**
 * Has the connection of a mount ended when this process is gone, by a process that ends then, too. The kernel does so by
 * itself, unless our notifier waits for the lock of a directory beyond kill -9, and whoever holds it asks us something: then
 * the notifier keeps the device open, and both wait for good. `device` is "major:minor". Best effort.
 */
export async function watchForDeath(device: string, log: Logger): Promise<void> {
  try {
    await mountControl();
    // Open from now on, it never means another mount that is given this number later.
    const abort = openSync(`${CONTROL}/${minorOf(device)}/abort`, 'w');
    try {
      const shell = spawn('/bin/sh', ['-c', SCRIPT], {
        cwd: '/',
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore', abort],
      });
      shell.once('error', (error) => log.debug({ error: messageOf(error) }, 'nobody watches this mount'));
      shell.unref();
    } finally {
      closeSync(abort);
    }
  } catch (error) {
    log.debug(
      { error: messageOf(error) },
      'nobody watches this mount: killed, it may have to be ended with "umount -f"',
    );
  }
}

async function mountControl(): Promise<void> {
  if (process.getuid?.() !== 0 || (await readdir(CONTROL)).length > 0) return;
  await mount({ source: 'fusectl', target: CONTROL, type: 'fusectl', flags: 0, data: '' });
}

function minorOf(device: string): string {
  return device.slice(device.indexOf(':') + 1);
}
