// What one mount did to names and attributes, the other one shows at once: nobody waits here, and kernels believe what they are
// told for an hour.
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { always, between, seen, TwoMounts, type WatchedMount } from './two-mounts.ts';

const ROUNDS = 100;

const mounts = new TwoMounts(test);

/** In each round one mount has looked, the other one changes, and the first one looks again. */
function afterEach<T>(
  t: ExecutionContext,
  look: (round: number) => T,
  change: (round: number) => void,
  expected: (round: number) => T | string,
): void {
  always(t, ROUNDS, (round) => {
    seen(() => look(round));
    change(round);
    const [is, should] = [JSON.stringify(seen(() => look(round))), JSON.stringify(expected(round))];
    return is === should ? undefined : `${is} instead of ${should}`;
  });
}

/** What is the same for the name on both mounts. */
function looks(path: string) {
  const { ino, mode, nlink, uid, gid, size, mtimeMs, ctimeMs } = fs.statSync(path);
  return { ino, mode, nlink, uid, gid, size, mtimeMs, ctimeMs };
}

/** How often a kernel asked for names and attributes; other programs of the machine ask for more of what is mounted. */
async function looksAt(mount: WatchedMount) {
  const { lookup, getAttributes } = await mount.requests();
  return { lookup, getAttributes };
}

between(mounts, 'what the kernel knows it does not ask for', async (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), 'x');
  fs.mkdirSync(join(a, 'd'));
  fs.statSync(join(b, 'f'));
  fs.statSync(join(b, 'd'));
  const before = await looksAt(mounts.b);
  for (let round = 0; round < 1000; round += 1) {
    fs.statSync(join(b, 'f'));
    fs.statSync(join(b, 'd'));
  }
  t.deepEqual(await looksAt(mounts.b), before);
  fs.chmodSync(join(a, 'f'), 0o600);
  fs.statSync(join(b, 'f'));
  t.notDeepEqual(await looksAt(mounts.b), before, 'it asks when it was told to');
});

const changes: readonly [string, (path: string, round: number) => void][] = [
  ['chmod', (path, round) => fs.chmodSync(path, 0o600 + (round % 64))],
  ['chown', (path, round) => fs.chownSync(path, 1000 + round, 2000 + round)],
  ['utimens', (path, round) => fs.utimesSync(path, 1_000_000 + round, 2_000_000 + round)],
  ['truncate', (path, round) => fs.truncateSync(path, (round * 7919) % 100_000)],
  ['write and close', (path, round) => fs.writeFileSync(path, 'x'.repeat(round % 10))],
  ['append', (path) => fs.appendFileSync(path, 'more')],
];
for (const [what, change] of changes) {
  between(mounts, `attributes at once after ${what}`, (t, { a, b }) => {
    fs.writeFileSync(join(a, 'f'), 'begun');
    const [onA, onB] = [join(a, 'f'), join(b, 'f')];
    afterEach(
      t,
      () => looks(onB),
      (round) => change(onA, round),
      () => looks(onA),
    );
  });
}

between(mounts, 'a name that is removed, and one that is there again', (t, { a, b }) => {
  const [onA, onB] = [join(a, 'f'), join(b, 'f')];
  const look = () => looks(onB).ino;
  const open = () => fs.closeSync(fs.openSync(onB, 'r'));
  const change = (round: number) => (round % 2 === 0 ? fs.writeFileSync(onA, '') : fs.unlinkSync(onA));
  afterEach(t, look, change, (round) => (round % 2 === 0 ? looks(onA).ino : 'ENOENT'));
  afterEach(t, open, change, (round) => (round % 2 === 0 ? (undefined as never) : 'ENOENT'));
});

between(mounts, 'a name that was looked for in vain', (t, { a, b }) => {
  afterEach(
    t,
    (round) => fs.statSync(join(b, `f${round}`)).size,
    (round) => fs.writeFileSync(join(a, `f${round}`), 'there'),
    () => 5,
  );
});

between(mounts, 'a file renamed over another one', (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), 'first');
  afterEach(
    t,
    () => [fs.readFileSync(join(b, 'f'), 'latin1'), seen(() => fs.statSync(join(b, 'new')).size)],
    (round) => {
      fs.writeFileSync(join(a, 'new'), `contents ${round}`);
      fs.statSync(join(b, 'new'));
      fs.renameSync(join(a, 'new'), join(a, 'f'));
    },
    (round) => [`contents ${round}`, 'ENOENT'],
  );
});

between(mounts, 'a directory that is renamed, with what is in it', (t, { a, b }) => {
  const names = ['one', 'two'] as const;
  fs.mkdirSync(join(a, 'one'));
  fs.writeFileSync(join(a, 'one', 'f'), 'x');
  afterEach(
    t,
    () => names.map((name) => seen(() => fs.statSync(join(b, name, 'f')).size)),
    (round) => fs.renameSync(join(a, names[round % 2] ?? ''), join(a, names[(round + 1) % 2] ?? '')),
    (round) => (round % 2 === 0 ? ['ENOENT', 1] : [1, 'ENOENT']),
  );
});

between(mounts, 'another name for a file', (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), '');
  afterEach(
    t,
    (round) => [fs.statSync(join(b, 'f')).nlink, fs.statSync(join(b, `link${round}`)).ino],
    (round) => fs.linkSync(join(a, 'f'), join(a, `link${round}`)),
    (round) => [round + 2, fs.statSync(join(a, 'f')).ino],
  );
});

between(mounts, 'a symbolic link that is replaced', (t, { a, b }) => {
  fs.symlinkSync('nowhere', join(a, 'link'));
  afterEach(
    t,
    () => fs.readlinkSync(join(b, 'link')),
    (round) => {
      if (round % 2 === 0) fs.unlinkSync(join(a, 'link'));
      const made = join(a, round % 2 === 0 ? 'link' : 'new');
      fs.symlinkSync(`target ${round}`, made);
      if (round % 2 === 1) fs.renameSync(made, join(a, 'link'));
    },
    (round) => `target ${round}`,
  );
});

between(mounts, 'directories that are made and removed, and what is listed', (t, { a, b }) => {
  const look = () => [fs.readdirSync(b).sort(), fs.statSync(b).nlink];
  afterEach(
    t,
    look,
    (round) => fs.mkdirSync(join(a, `d${round}`)),
    () => [fs.readdirSync(a).sort(), fs.statSync(a).nlink],
  );
  afterEach(
    t,
    (round) => [...look(), seen(() => fs.statSync(join(b, `d${round}`)).ino)],
    (round) => fs.rmdirSync(join(a, `d${round}`)),
    () => [fs.readdirSync(a).sort(), fs.statSync(a).nlink, 'ENOENT'],
  );
  t.deepEqual(look(), [[], 2]);
});

between(mounts, 'a file that was seen empty, and is written', (t, { a, b }) => {
  afterEach(
    t,
    (round) => fs.statSync(join(b, `f${round}`)).size,
    (round) => {
      fs.writeFileSync(join(a, `f${round}`), '');
      fs.statSync(join(b, `f${round}`));
      fs.writeFileSync(join(a, `f${round}`), 'no longer');
    },
    () => 9,
  );
});

between(mounts, 'a file that is created where another mount has removed one', (t, { a, b }) => {
  always(t, ROUNDS, (round) => {
    fs.writeFileSync(join(a, 'f'), `old ${round}`);
    fs.statSync(join(b, 'f'));
    fs.unlinkSync(join(a, 'f'));
    const fd = fs.openSync(join(b, 'f'), fs.constants.O_CREAT | fs.constants.O_RDWR);
    const { size } = fs.fstatSync(fd);
    fs.writeSync(fd, 'new');
    fs.closeSync(fd);
    const contents = fs.readFileSync(join(a, 'f'), 'latin1');
    return size === 0 && contents === 'new' ? undefined : `began with ${size} bytes, ended as ${contents}`;
  });
});

between(mounts, 'a directory that is renamed or removed elsewhere takes no new names', (t, { a, b }) => {
  always(t, ROUNDS, (round) => {
    const [name, other] = [`d${round}`, `e${round}`];
    fs.mkdirSync(join(a, name));
    fs.writeFileSync(join(b, name, 'first'), '');
    fs.renameSync(join(a, name), join(a, other));
    const afterRename = seen(() => fs.writeFileSync(join(b, name, 'lost'), ''));
    fs.unlinkSync(join(a, other, 'first'));
    fs.statSync(join(b, other));
    fs.rmdirSync(join(a, other));
    const afterRemoval = seen(() => fs.mkdirSync(join(b, other, 'lost')));
    return afterRename === 'ENOENT' && afterRemoval === 'ENOENT'
      ? undefined
      : `${afterRename}, then ${afterRemoval}`;
  });
});
