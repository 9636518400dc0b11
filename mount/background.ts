import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { messageOf } from '../src/base/errors.ts';
import { NODE_FLAGS } from '../src/base/node-flags.ts';
import type { FailedMessage, ReadyMessage } from '../src/cli/daemon.ts';
import { UsageError } from '../src/cli/program.ts';

/**
 * Runs this program again, in a session of its own and with the same arguments but in front, and waits until it serves.
 * Resolves to undefined then, or to why it never did.
 */
export function startInBackground(logFile: string | undefined): Promise<string | undefined> {
  const [script = '', ...argv] = process.argv.slice(1);
  const log = logFile === undefined ? undefined : openLog(logFile);
  const child = spawn(process.execPath, [...NODE_FLAGS, script, '--foreground', ...argv], {
    detached: true,
    stdio: ['ignore', 'ignore', log ?? 'ignore', 'ipc'],
  });
  if (log !== undefined) closeSync(log);
  // Whoever grows tired of waiting must not leave a mount behind.
  const onSignal = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) =>
      resolve(`ended before it served (${signal ?? `exit code ${code}`})`),
    );
    child.on('message', (message: ReadyMessage | FailedMessage) => {
      if ('failed' in message) {
        resolve(message.failed);
        return;
      }
      child.removeAllListeners('exit');
      child.disconnect();
      child.unref();
      resolve(undefined);
    });
  });
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a');
  } catch (cause) {
    throw new UsageError(`--log-file: ${messageOf(cause)}`);
  }
}
