// A process may end at each stage of a device's life: it must end at once, with its own exit code, and never crash in what its
// threads still do.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { FuseDevice } from '../../native/index.ts';
import { mountDirectory, whyNoMount } from '../mount/mount-helper.ts';

const INDEX = join(import.meta.dirname, '../../native/index.js');
/** What every stage begins with: a mounted device in `fd`, and what it takes to serve it. */
const PRELUDE = `
  import { openSync, stat } from 'node:fs';
  import { execFile } from 'node:child_process';
  import { FuseDevice, mount, unmount } from ${JSON.stringify(INDEX)};
  const path = process.argv[1];
  const mounted = async () => {
    const fd = openSync('/dev/fuse', 'r+');
    const data = 'fd=' + fd + ',rootmode=40000,user_id=0,group_id=0';
    await mount({ source: 'test', target: path, type: 'fuse.gfs', flags: 0, data });
    return fd;
  };
  const serve = (fd, onRequest, readerCount = 2) =>
    new FuseDevice({ fd, readerCount, onRequest, onEnd: (errno) => console.error('ended', errno) });
`;

const stages: readonly [what: string, script: string, exitCode: number][] = [
  ['before it mounts anything', `process.exit(3);`, 3],
  ['while it is mounting', `mounted(); process.exit(3);`, 3],
  ['mounted, without readers', `await mounted(); process.exit(3);`, 3],
  ['with readers that wait', `serve(await mounted(), () => {}); process.exit(3);`, 3],
  ['in the callback of a request', `serve(await mounted(), () => process.exit(3));`, 3],
  ['by an exception in the callback', `serve(await mounted(), () => { throw new Error('thrown'); });`, 1],
  [
    'with a request that was given back and never answered',
    `const device = serve(await mounted(), ({ buffer }) => { device.release(buffer); setImmediate(() => process.exit(3)); });`,
    3,
  ],
  [
    'while somebody waits for an answer',
    `const device = serve(await mounted(), () => { execFile('stat', [path]); setTimeout(() => process.exit(3), 50); });`,
    3,
  ],
  [
    'while its notifier is at work',
    `const device = serve(await mounted(), () => {
       for (let i = 0; i < 1000; i += 1) device.notify(Buffer.alloc(40, i), ["nodes", "names", "pages"][i % 3]);
       process.exit(3);
     });`,
    3,
  ],
  [
    'by itself, once it is unmounted',
    `const device = serve(await mounted(), async ({ buffer }) => { device.release(buffer); device.notify(Buffer.alloc(40), "nodes"); await unmount(path); process.exitCode = 3; });`,
    3,
  ],
  ['while it is unmounting', `serve(await mounted(), () => { unmount(path); process.exit(3); });`, 3],
  [
    'in a worker that is terminated while readers wait',
    `const { Worker } = await import('node:worker_threads');
     const fd = await mounted();
     const worker = new Worker(
       'import(' + JSON.stringify(${JSON.stringify(INDEX)}) + ').then(({ FuseDevice }) => { new FuseDevice({ fd: ' + fd + ', onRequest() {}, onEnd() {} }); import("node:worker_threads").then(({ parentPort }) => parentPort.postMessage(0)); })',
       { eval: true },
     );
     worker.once('message', async () => { await worker.terminate(); process.exit(3); });`,
    3,
  ],
];

for (const [what, script, exitCode] of stages) {
  test(`a process ends cleanly ${what}`, async (t) => {
    const why = process.getuid?.() === 0 ? whyNoMount() : 'only root mounts without help';
    if (why !== undefined) {
      t.log(`skipped: ${why}`);
      t.pass();
      return;
    }
    const path = mountDirectory(t);
    const child = spawn(process.execPath, ['--input-type=module', '-e', PRELUDE + script, path], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (text) => {
      complaint += String(text);
    });
    const patience = setTimeout(() => child.kill('SIGKILL'), 20_000);
    const ended = await new Promise((resolve) =>
      child.once('close', (code, signal) => resolve({ code, signal })),
    );
    clearTimeout(patience);
    t.deepEqual(ended, { code: exitCode, signal: null }, complaint);
  });
}

test('a device refuses what is no descriptor, and more readers than buffers', (t) => {
  const callbacks = { onRequest: () => undefined, onEnd: () => undefined };
  t.throws(() => new FuseDevice({ fd: -1, ...callbacks }), { code: 'INVALID_ARGUMENT' });
  t.throws(() => new FuseDevice({ fd: 0, readerCount: 0, ...callbacks }), { code: 'INVALID_ARGUMENT' });
  t.throws(() => new FuseDevice({ fd: 0, readerCount: 3, bufferCount: 2, ...callbacks }), {
    code: 'INVALID_ARGUMENT',
  });
});
