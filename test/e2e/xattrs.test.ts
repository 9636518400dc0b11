// Extended attributes and ACLs with the programs that people use for them, on a mount and on a plain directory: both say the same.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { run, skips, TestCluster } from './cluster.ts';

const PROGRAMS = ['setfattr', 'getfattr', 'setfacl', 'getfacl', 'setpriv', 'setcap'];
/** News are on their way for a millisecond or two; a machine that is busy may take its time. An hour it is not. */
const PATIENCE_MS = 20_000;

function lacks(...programs: string[]): string[] {
  return programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
}

let cluster: TestCluster | undefined;
test.before(async (t) => {
  if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
  const missing = lacks(...PROGRAMS);
  if (missing.length > 0) {
    t.log(`skipped: without ${missing.join(', ')} (Debian: attr, acl, util-linux, libcap2-bin)`);
    return;
  }
  cluster = new TestCluster({ chunkSize: '256KiB' });
  await cluster.start();
});
test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

function onCluster(title: string, body: (t: ExecutionContext, running: TestCluster) => Promise<void>): void {
  test.serial(title, async (t) => {
    t.timeout(300_000);
    if (cluster === undefined) t.pass();
    else await body(t, cluster);
  });
}

async function plainDirectory(t: ExecutionContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), 'gfs-plain-'));
  t.teardown(() => fs.rm(path, { recursive: true }));
  return path;
}

/** What each line of the script prints and how it ends, in an empty directory; `u` runs as an ordinary user. */
async function transcript(directory: string, script: string): Promise<string[]> {
  const setUp = `
    u() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    mode() { stat -c '%a %s' "$@"; }
    cd ${directory} && chmod 755 . && umask 022
    while IFS= read -r line; do
      echo "$ $line"; eval "$line" 2>&1; echo "= $?"
    done <<'SCRIPT'
${script.trim()}
SCRIPT`;
  const { stdout } = await run('bash', ['-c', setUp]);
  return stdout.replaceAll(directory, 'DIRECTORY').split('\n');
}

async function compare(t: ExecutionContext, running: TestCluster, script: string): Promise<string[]> {
  const plain = await plainDirectory(t);
  const mounted = await fs.mkdtemp(join(running.mount, 'case-'));
  const found = await transcript(mounted, script);
  t.deepEqual(found, await transcript(plain, script));
  return found;
}

onCluster('extended attributes are as on a plain directory', async (t, running) => {
  const found = await compare(
    t,
    running,
    `
echo hi > f; mkdir d; mkfifo p; ln -s f l
setfattr -n user.a -v one f; getfattr -d f
setfattr -n user.a -v two f; setfattr -n user.b f; getfattr -d f
setfattr -n user.bytes -v 0x00ff00 f; getfattr -e hex -n user.bytes f
setfattr -n trusted.a -v 1 f; setfattr -n security.a -v 1 f; getfattr -m - -d f
u getfattr -m - -d f; u getfattr -n trusted.a f; u getfattr -n security.a f
u setfattr -n trusted.b -v 1 f; u setfattr -n security.b -v 1 f; u setfattr -n user.c -v 1 f; u setfattr -x user.a f
chmod 666 f; u setfattr -n user.c -v 1 f; chmod 600 f; u getfattr -n user.c f
setfattr -n foo.a -v 1 f; setfattr -n user. -v 1 f; setfattr -n system.a -v 1 f; setfattr -n user -v 1 f
getfattr -n user.none f; setfattr -x user.none f; getfattr -n foo.a f
setfattr -h -n user.a -v 1 l; setfattr -n user.a -v 1 p; setfattr -h -n trusted.a -v 1 l; getfattr -h -m - -d l
chmod 1777 d; u setfattr -n user.a -v 1 d; setfattr -n user.a -v 1 d; getfattr -d d
setfattr -x user.a f; setfattr -x user.b f; setfattr -x user.c f; getfattr -m user f; getfattr -n user.a f
setfattr -n user.$(printf '%0250d' 0) -v 1 f; getfattr -d f | wc -c; setfattr -n user.$(printf '%0251d' 0) -v 1 f
`,
  );
  t.true(found.includes('trusted.a="1"') && found.includes('setfattr: f: Operation not supported'));
});

onCluster('ACLs are as on a plain directory', async (t, running) => {
  const found = await compare(
    t,
    running,
    `
echo hi > f; mkdir d; ln -s f l
chmod 640 f; u cat f; setfacl -m u:65534:rw f; getfacl -c f; mode f; u cat f; u sh -c 'echo more >> f'
chmod 600 f; getfacl -c f; u cat f; chmod g=r f; getfacl -c f; u sh -c 'echo more >> f'; u cat f
chmod o=r f; setfacl -m m::- f; u cat f; chmod o= f; u cat f
setfacl -m g:65534:r,m::rwx f; setfacl -x u:65534 f; getfacl -c f; u cat f; setfacl -x g:65534 f; u cat f
setfacl -b f; getfacl -c f; getfattr -m - f; mode f
setfacl -m u:1:rwx f; setfattr -x system.posix_acl_access f; setfattr -x system.posix_acl_access f; getfacl -c f
u setfacl -m u:1:rwx f; setfacl -d -m u:1:r f; setfacl -n -m u:1:r,m::r f; getfacl -c f
setfattr -n system.posix_acl_access -v 0x0200000001000700ffffffff f; setfattr -n system.posix_acl_access -v 0x02 f
setfacl -d -m u:65534:rwx,g::rx,o::- d; getfacl -c d; umask 077; touch d/f; mkdir d/d d/d/e; mkfifo d/p; umask 022
getfacl -c d/f d/d d/d/e d/p; (umask 000; touch d/open; mkdir -m 700 d/closed); getfacl -c d/open d/closed
setfacl -m u:65534:rwx d; u sh -c 'echo mine > d/new; cat d/new; rm d/open'; getfacl -c d/new; ls d
setfacl -k d; touch d/after; getfacl -c d/after d
chown 65534:1 f; chmod 2775 f; mode f; u setfacl -m u:1:rwx f; mode f
chmod 2775 f; chgrp 65534 f; chmod 2775 f; u setfacl -m u:2:rwx f; mode f
cp -a d c; cd c; find . | sort | xargs getfacl -n; cd ..
`,
  );
  t.true(found.includes('user:nobody:rwx') || found.includes('user:65534:rwx'));
});

onCluster('set-id bits and capabilities go with a write, as on a plain directory', (t, running) =>
  compare(
    t,
    running,
    `
echo x > s; chmod 6777 s; u sh -c 'exec 3<>s; echo y >&3; stat -c "%a %s" s'
chmod 6777 s; u sh -c 'exec 3>>s; echo y >&3; stat -c "%a %s" s'; mode s
chmod 6767 s; u sh -c 'exec 3>>s; echo y >&3; stat -c "%a %s" s'
chmod 6777 s; u truncate -s 1 s; mode s
chmod 6777 s; u sh -c ': > s'; mode s
chmod 6777 s; u sh -c 'exec 3<>s; stat -c "%a %s" s'; mode s
chmod 6777 s; echo y >> s; echo z > s; truncate -s 0 s; mode s; chown 1:1 s; mode s
chmod 777 s; setcap cap_net_raw+ep s; getcap s; u sh -c 'echo y >> s'; getcap s
setcap cap_net_raw+ep s; echo z >> s; getcap s; setcap cap_net_raw+ep s; truncate -s 0 s; getcap s
setcap cap_net_raw+ep s; u setcap -r s; getcap s; setcap -r s; getcap s
chmod 6777 s; setcap cap_net_raw+ep s; fallocate -l 9 s; getcap s; stat -c %a s; setcap cap_net_raw+ep s; truncate -s 0 s; stat -c %a s
setcap cap_net_raw+ep s; chown :0 s; stat -c %a s; getcap s
`,
  ).then(() => undefined),
);

/** Waits for the news to come. */
async function sees(t: ExecutionContext, expected: RegExp, command: string[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const look = async () => {
    const { stdout, stderr } = await run(command[0] ?? '', command.slice(1));
    return stdout + stderr;
  };
  let seen = await look();
  while (!expected.test(seen) && Date.now() < deadline) {
    await sleep(5);
    seen = await look();
  }
  t.regex(seen, expected);
}

onCluster(
  'another mount, which believes for an hour, sees attributes and ACLs as they change',
  async (t, running) => {
    const options = 'allow_other,attr_timeout=3600,entry_timeout=3600';
    const [one, two] = [await running.mountAgain(options), await running.mountAgain(options)];
    const [a, b] = [join(one, 'shared'), join(two, 'shared')];
    await fs.chmod(running.directory, 0o711);
    await fs.writeFile(a, 'text', { mode: 0o600 });
    const asUser = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    await sees(t, /No such attribute/, ['getfattr', '-n', 'user.a', b]);
    await run('setfattr', ['-n', 'user.a', '-v', 'one', a]);
    await sees(t, /"one"/, ['getfattr', '-d', b]);
    await run('setfattr', ['-n', 'user.a', '-v', 'two', a]);
    await sees(t, /"two"/, ['getfattr', '-d', b]);
    await sees(t, /Permission denied/, [...asUser, 'cat', b]);
    await run('setfacl', ['-m', 'u:65534:r', a]);
    await sees(t, /text/, [...asUser, 'cat', b]);
    await sees(t, /user:(nobody|65534):r--/, ['getfacl', '-c', b]);
    await run('chmod', ['600', a]);
    await sees(t, /mask::---/, ['getfacl', '-c', b]);
    await sees(t, /Permission denied/, [...asUser, 'cat', b]);
    await run('setfacl', ['-b', a]);
    await run('setfattr', ['-x', 'user.a', b]);
    await sees(t, /^$/, ['getfattr', '-m', '-', a]);
  },
);

onCluster('without SELinux no file has a label, unless it was given one', async (t, running) => {
  if (existsSync('/sys/fs/selinux')) {
    t.log('skipped: SELinux labels the files of mounts by itself');
    t.pass();
    return;
  }
  const file = join(running.mount, 'labelled');
  await fs.writeFile(file, '');
  const label = ['getfattr', '-n', 'security.selinux', file];
  await sees(t, /Operation not supported/, label);
  await sees(t, /No such attribute/, ['getfattr', '-n', 'security.other', file]);
  await sees(t, /Operation not supported/, label);
  await run('setfattr', ['-n', 'security.selinux', '-v', 'mine', file]);
  await sees(t, /"mine"/, label);
  await sees(t, /No such attribute/, ['getfattr', '-n', 'security.other', file]);
  await run('setfattr', ['-x', 'security.selinux', file]);
  await sees(t, /Operation not supported/, label);
});

onCluster('rsync -aHAX and a restart keep what there is', async (t, running) => {
  const plain = await plainDirectory(t);
  const shell = (script: string) => running.shell(`PLAIN=${plain}\n${script}`);
  await shell(`cd $PLAIN && mkdir -p tree/d && echo x > tree/f && ln tree/f tree/hard && echo y > tree/d/g
    setfattr -n user.a -v one tree/f && setfattr -n trusted.b -v 0xff00 tree/d && setfacl -m u:1:rwx tree/f
    setfacl -d -m g:7:rx tree/d && head -c 60000 /dev/urandom | base64 -w0 > value
    setfattr -n user.large -v "0s$(head -c 3000 /dev/urandom | base64 -w0)" tree/d/g`);
  const attributes = 'find . | sort | xargs sh -c \'getfattr -m - -d -e hex "$@" && getfacl -n "$@"\' sh';
  await shell(
    `cp -a $PLAIN/tree copied && test "$(cd copied; ${attributes})" = "$(cd $PLAIN/tree; ${attributes})"`,
  );
  if (lacks('rsync').length > 0) t.log('skipped in part: no rsync');
  else
    await shell(`rsync -aHAX $PLAIN/tree/ synced/ && test "$(cd synced; ${attributes})" = "$(cd $PLAIN/tree; ${attributes})"
      test -z "$(rsync -aHAXi $PLAIN/tree/ synced/)"`);
  t.is(await running.stop(), 0, running.stderr);
  await running.start();
  await shell(
    `test "$(cd copied; ${attributes})" = "$(cd $PLAIN/tree; ${attributes})" && rm -rf copied synced`,
  );
});
