// Programs that copy trees: everything arrives, and what is there is known for the same.
import { withPrograms } from './programs.ts';

/** A tree outside the mount: hard and symbolic links, odd names, modes, owners, times, an empty directory, a FIFO. */
const MAKE_TREE = `
mkdir -p $TREE/empty "$TREE/a b/deep" && cd $TREE
for n in $(seq 40); do echo "file $n" > "a b/f$n"; head -c $((n * 997)) /dev/urandom > "a b/deep/g$n"; done
ln "a b/f1" hard && ln -s "a b/f2" soft && ln -s /nowhere dangling && mkfifo fifo
head -c 700000 /dev/urandom > chunks; printf 'x' > $'new\\nline'
chmod 750 empty && chmod 4711 "a b/f3" && chown 1000:1001 "a b/f4" && chown -h 1001:1000 soft
touch -d '2001-02-03 04:05:06.123456789' "a b/f5" && touch -d '1969-12-31 12:00:00' "a b/f6" && touch -d '2003-01-01' "a b"`;

withPrograms(
  ['rsync'],
  'rsync -aH copies a tree, and has nothing to do the second time',
  async (t, cluster) => {
    const shell = (script: string) => cluster.shell(`TREE=${cluster.directory}/tree\n${script}`);
    await shell(MAKE_TREE);
    await shell('rsync -aH --numeric-ids $TREE/ copy/');
    t.is(await shell('rsync -aHi --numeric-ids --delete $TREE/ copy/'), '');
    t.is(await shell('rsync -aHic --numeric-ids --delete $TREE/ copy/'), '');
    await shell('diff -r --no-dereference --exclude=fifo $TREE copy && test $(stat -c %h copy/hard) = 2');
    await shell('echo more >> "$TREE/a b/f7" && rm $TREE/soft && mv $TREE/chunks $TREE/renamed');
    await shell(
      'rsync -aH --numeric-ids --delete $TREE/ copy/ && diff -r --no-dereference --exclude=fifo $TREE copy',
    );
    t.is(await shell('rsync -aHi --numeric-ids --delete $TREE/ copy/'), '');
    // And from the mount to the mount.
    await shell('rsync -aH copy/ again/');
    t.is(await shell('rsync -aHi --delete copy/ again/'), '');
  },
);

withPrograms(['tar'], 'tar packs and unpacks a tree, and finds it the same', async (_t, cluster) => {
  const shell = (script: string) => cluster.shell(`TREE=${cluster.directory}/tree\n${script}`);
  await shell(MAKE_TREE);
  await shell(
    'tar -C $TREE -cf all.tar . && mkdir x && tar -C x --numeric-owner -xpf all.tar && tar -C x -df all.tar',
  );
  await shell('tar -C x -cf - . | tar -C $TREE -df -');
  await shell(
    'tar -C x -czf all.tar.gz . && mkdir y && tar -C y -xpzf all.tar.gz && diff -r --no-dereference --exclude=fifo x y',
  );
  await shell(
    'echo new > x/new && tar -C x -rf all.tar ./new && tar -C x -df all.tar && tar -tf all.tar | grep -qx ./new',
  );
});
