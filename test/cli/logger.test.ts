import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import test from 'ava';

const PROGRAM = new URL('./fixture-logger.js', import.meta.url).pathname;

/** What the program says while its lines go to this file. */
function checkWith(logFile: string) {
  const log = openSync(logFile, 'w');
  try {
    const { status, stdout } = spawnSync(process.execPath, [PROGRAM], {
      stdio: ['ignore', 'pipe', log],
      encoding: 'utf8',
    });
    return { status, stdout };
  } finally {
    closeSync(log);
  }
}

test('a log on a full disk is no reason to end', (t) => {
  t.deepEqual(checkWith('/dev/full'), { status: 0, stdout: 'goes on\n' });
});
