// Trees are removed while others make and remove entries in them: real daemons on a simulated network.
import test from 'ava';
import { type InodeId, inodeId } from '../../../src/base/ids.ts';
import { Files } from '../../../src/cli/files/files.ts';
import { TreeRemover } from '../../../src/cli/files/remove-tree.ts';
import type { GfsClient } from '../../../src/client/api.ts';
import { type Attributes, FileType } from '../../../src/rpc/messages.ts';
import { inRealCluster, type RealCluster } from '../../client/real-cluster.ts';
import { ME } from '../../client/world.ts';

const FILES_EACH = 40;

function directory(client: GfsClient, parent: InodeId, name: string): Promise<Attributes> {
  const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o777 };
  return client.makeNode(parent, Buffer.from(name), node, ME);
}

async function file(client: GfsClient, parent: InodeId, name: string): Promise<void> {
  const opened = await client.create(parent, Buffer.from(name), { write: true, mode: 0o644 }, ME);
  await opened.file.close();
}

/** A tree of three levels, and its top. */
async function makeTree({ client }: RealCluster) {
  // Whoever runs this may change it.
  const parent = inodeId((await directory(client, client.rootInode, 'open')).inode);
  const top = await directory(client, parent, 'top');
  const below: Attributes[] = [];
  for (const name of ['a', 'b', 'c']) {
    const middle = await directory(client, inodeId(top.inode), name);
    below.push(middle, await directory(client, inodeId(middle.inode), 'deep'));
  }
  for (const { inode } of below) {
    for (let number = 0; number < FILES_EACH; number += 1) await file(client, inodeId(inode), `${number}`);
  }
  return { entry: { name: Buffer.from('top'), path: Buffer.from('/top'), attributes: top }, parent, below };
}

test('entries that come and go while a tree is removed keep nothing of it', async (t) => {
  await inRealCluster('remove-tree', async (cluster) => {
    const { client } = cluster;
    const { entry, parent, below } = await makeTree(cluster);
    const other = await cluster.connect();
    const files = new Files(cluster.envOf(client), client, new AbortController());
    let removedCount = 0;
    const removing = new TreeRemover(files, () => {
      removedCount += 1;
    }).remove(parent, entry);
    let made = 0;
    let taken = 0;
    const meddling = below.map(async ({ inode }) => {
      for (let number = 0; number < FILES_EACH; number += 7) {
        const at = inodeId(inode);
        // Either is refused once the directory is gone.
        await file(other, at, `~${number}`).then(
          () => (made += 1),
          () => undefined,
        );
        await other.unlink(at, Buffer.from(`${FILES_EACH - 1 - number}`), ME).then(
          () => (taken += 1),
          () => undefined,
        );
      }
    });
    await Promise.all([removing, ...meddling]);
    t.true(made > 0);
    t.true(taken > 0);
    t.true(removedCount > below.length * FILES_EACH);
    t.deepEqual((await client.list(parent, { limit: 10 }, ME)).entries, []);
  });
});
