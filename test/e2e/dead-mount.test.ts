// A mount is killed with -9 while its notifier waits for a directory that a program looks into, and the program for the
// mount: neither may wait for the other for good.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { skips } from './cluster.ts';
import { DaemonCluster } from './daemon-cluster.ts';

/** A wait that no signal ends. */
const STATE_WAITING = 'D';

/**
 * `program` is given a name in the directory and holds the directory's lock when it asks the mount. `needsWatch`: it asks
 * again when the mount is dead, and nobody but the mount's watch can tell it so.
 */
function killed(title: string, program: string, name: string, needsWatch: boolean): void {
  test.serial(title, async (t) => {
    if (skips(t)) return;
    t.timeout(60_000);
    const cluster = await DaemonCluster.create({
      chunkservers: 3,
      mountOptions: 'attr_timeout=3600,entry_timeout=0',
    });
    try {
      await cluster.start();
      if (needsWatch && (await readdir('/sys/fs/fuse/connections')).length === 0) {
        t.log('skipped: "fusectl" cannot be mounted');
        t.pass();
        return;
      }
      await mkdir(cluster.path('place'));
      for (const known of ['changes', 'stays']) await writeFile(cluster.path(`place/${known}`), '');
      // The second mount is told what becomes of what it has seen.
      for (const known of ['changes', 'stays']) await readFile(cluster.path(`place/${known}`, 1));
      const [, victim] = cluster.mounts;
      const daemon = victim?.daemon;
      const pid = Number((await daemon?.ready())?.pid);

      // In the directory from before: on the way there it would hold other locks.
      const asking = spawn('sh', ['-c', `read -r go; exec ${program} ${name}`], {
        cwd: cluster.path('place', 1),
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      const answered = once(asking, 'exit');
      daemon?.signal('SIGSTOP');
      asking.stdin.write('go\n');
      await asks(must(asking.pid, 'it runs'));
      await rm(cluster.path('place/changes'));
      cluster.master.signal('SIGSTOP');
      // After a second without its master a mount believes nothing that it remembers.
      await sleep(1_500);
      daemon?.signal('SIGCONT');
      while (!(await threadStates(pid)).includes(STATE_WAITING)) await sleep(20);

      await daemon?.kill();
      await answered;
      cluster.master.signal('SIGCONT');
      daemon?.start();
      await daemon?.ready();
      t.is(await readFile(cluster.path('place/stays', 1), 'utf8'), '');
    } finally {
      await cluster.close();
    }
  });
}

/** Resolves when the process waits for an answer of the mount; root is told where in the kernel it is. */
async function asks(pid: number): Promise<void> {
  while (!(await readFile(`/proc/${pid}/stack`, 'latin1')).includes('fuse_')) await sleep(20);
}

async function threadStates(pid: number): Promise<string[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const texts = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
  return (await Promise.all(texts)).map((text) => text.slice(text.lastIndexOf(')') + 2)[0] ?? '');
}

killed('a look-up that a dead mount took ends, and so does the mount', 'stat', 'unknown', false);
killed('a removal that asks a dead mount again ends, and so does the mount', 'unlink', 'stays', true);
