// Ordinary tools on a real mount of real daemons, and everything still there after a restart.
import { existsSync } from 'node:fs';
import test from 'ava';
import { skipsLibfuse } from '../mount/fuse-native/libfuse.ts';
import { isMounted, skips, TestCluster } from './cluster.ts';

/** Makes, outside the mount, a source tree of $PARTS folders with 50 small files each in $TREE. */
const MAKE_TREE = `
mkdir -p $TREE && cd $TREE
for d in $(seq $PARTS); do
  mkdir -p "part$d/deep er"
  for f in $(seq 25); do echo "file $f of $d" > "part$d/file$f.txt"; head -c $((f * 97)) /dev/urandom > "part$d/deep er/f$f.bin"; done
  ln -s ../part1/file1.txt "part$d/link"
  ln "part$d/file1.txt" "part$d/hard"
done
chmod 640 part1/file2.txt; touch -d '2001-02-03 04:05:06.789' part1/file3.txt; : > empty
`;

const C_PROJECT = `
mkdir c && cd c
printf 'int answer(void) { return 42; }\\n' > a.c
printf '#include <stdio.h>\\nint answer(void);\\nint main(void) { printf("%%d\\\\n", answer()); return 0; }\\n' > main.c
printf 'prog: main.o a.o\\n\\tcc -o $@ $^\\n%%.o: %%.c\\n\\tcc -c -o $@ $<\\nclean:\\n\\trm -f prog *.o\\n' > Makefile
make -j2 && test "$(./prog)" = 42 && touch a.c && make && make -q && test "$(./prog)" = 42
`;

/** Folders of the tree: large trees are for programs-*.test.ts, and directories of many names for directories.test.ts. */
const PARTS = 3;
/** In ten chunks. */
const BIG_MIB = 40;

const WAYS = {
  frames: { transport: 'frames', driver: 'kernel' },
  grpc: { transport: 'grpc', driver: 'kernel' },
  'fuse-native': { transport: 'frames', driver: 'fuse-native' },
} as const;

for (const [way, { transport, driver }] of Object.entries(WAYS)) {
  test.serial(`everyday tools work and what they wrote survives a restart (${way})`, async (t) => {
    if (skips(t)) return;
    if (driver === 'fuse-native' && skipsLibfuse(t)) return;
    t.timeout(600_000);
    await using cluster = new TestCluster({ transport, chunkSize: '4MiB' });
    const { directory } = cluster;
    const start = async () => {
      await cluster.start();
      return driver === 'kernel' ? cluster.mount : await cluster.mountAgain('defaults', driver);
    };
    let mount = await start();
    const shell = (script: string) =>
      cluster.shell(`TREE=${directory}/tree\nPARTS=${PARTS}\n${script}`, mount);

    await shell(MAKE_TREE);
    await shell('cp -a $TREE copy && diff -r --no-dereference $TREE copy');
    await shell('test "$(stat -c %a:%y copy/part1/file2.txt | cut -c1-4)" = 640:');
    await shell('test "$(stat -c %y copy/part1/file3.txt)" = "$(stat -c %y $TREE/part1/file3.txt)"');
    await shell('test "$(stat -c %h copy/part3/hard)" = 2 && mkfifo fifo && test -p fifo && rm fifo');
    await shell(
      'tar -C $TREE/.. -cf t.tar tree && mkdir x && tar -C x -xf t.tar && diff -r --no-dereference $TREE x/tree',
    );
    await shell('tar -C copy -cf - . | tar -C $TREE -df -');
    await shell(`mkdir repo && cp -a $TREE/part[12] repo/ && cd repo && git init -q && git add . &&
      git -c user.name=t -c user.email=t@localhost commit -qm one && git fsck --strict && test -z "$(git status --porcelain)"`);
    await shell(C_PROJECT);
    await shell(`dd if=/dev/urandom of=$TREE.big bs=1M count=${BIG_MIB} status=none && dd if=$TREE.big of=big bs=1M conv=fsync status=none
      sha256sum < $TREE.big > $TREE.sha && sha256sum < big | cmp - $TREE.sha`);
    // As vim saves: a new file, fsync, rename over the old one.
    await shell(`echo old > note && for i in 1 2 3; do echo "new $i" > note.tmp && sync note.tmp && mv note.tmp note; done
      test "$(cat note)" = "new 3" && test ! -e note.tmp`);
    await shell(
      'seq 1 1000 > numbers && for i in $(seq 1001 1100); do echo $i >> numbers; done; seq 1 1100 | cmp - numbers',
    );
    // A user works on in a directory whose way was closed after he went there.
    if (driver === 'kernel')
      await shell(`mkdir -p way/work && chown 65534:65534 way/work && cd way/work && chmod 700 .. &&
      setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec \
        'echo a > f; echo b >> f; mkdir d; mv f d/f; test "$(wc -l < d/f)" = 2; ln -s f d/l; cat d/l; ! ls ..'
      cd ../.. && rm -rf way && test ! -e way`);
    await shell(
      'mkdir many && cd many && seq 1 300 | xargs touch && test $(ls | wc -l) = 300 && rm -rf ../many',
    );

    const stat = await cluster.gfs('stat', '--json', '/big');
    t.is(stat.code, 0, stat.stderr);
    const { length, extents } = JSON.parse(stat.stdout) as {
      length: number;
      extents: { start: number; replicas: { server: number; version: number | null }[]; version: number }[];
    };
    t.is(length, BIG_MIB * 1024 * 1024);
    t.is(extents.length, BIG_MIB / 4);
    for (const { replicas, version } of extents) {
      t.is(new Set(replicas.map(({ server }) => server)).size, 3);
      for (const replica of replicas) t.is(replica.version, version);
    }
    t.regex((await cluster.gfs('status')).stdout, /servers +3 of 3 alive/);
    const servers = await cluster.gfs('servers', '--json');
    t.is((JSON.parse(servers.stdout) as unknown[]).length, 3);

    await cluster.unmountOthers();
    t.is(await cluster.stop(), 0, cluster.stderr);
    t.false(isMounted(mount));
    t.false(existsSync(`${cluster.data}/cluster.json`));
    mount = await start();
    await shell(
      'diff -r --no-dereference $TREE copy && diff -r --no-dereference $TREE x/tree && sha256sum < big | cmp - $TREE.sha',
    );
    await shell(
      'cd repo && git fsck --strict && test -z "$(git status --porcelain)" && cd ../c && make -q && ./prog',
    );
    await shell('test "$(cat note)" = "new 3" && seq 1 1100 | cmp - numbers');
    // And it can still be changed: chunks of before the restart get a primary again.
    await shell(
      'echo 1101 >> numbers && seq 1 1101 | cmp - numbers && echo x | dd of=big bs=1 seek=5000000 conv=notrunc status=none',
    );
    await shell(
      'printf x | dd of=$TREE.big bs=1 seek=5000000 conv=notrunc status=none; dd if=big bs=1 skip=5000000 count=1 status=none | grep -q x',
    );
    await shell('rm -rf copy x repo c big t.tar && test "$(ls)" = "$(printf "note\\nnumbers")"');
  });
}
