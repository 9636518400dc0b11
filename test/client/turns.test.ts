// One file, two clients in turn: whoever goes on sees what the other did to its length, without being told first.
import test from 'ava';
import type { GfsClient } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { ME, pattern, WRITING } from './world.ts';

const APPENDING = { write: true, append: true };

/** A file that both have open, and the first has appended ten bytes to. */
async function shared(client: GfsClient, other: GfsClient) {
  const { file } = await client.create(client.rootInode, Buffer.from('f'), { ...WRITING, ...APPENDING }, ME);
  const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
  await file.append([pattern(10)]);
  return { file, theirs };
}

test('a record goes to the end that another client gave the file just now', (t) =>
  inRealCluster(1, async ({ client, connect }) => {
    const other = await connect();
    const { file, theirs } = await shared(client, other);
    await theirs.truncate(300_000);
    t.is(await file.append([pattern(10)]), 300_000, 'it was extended over the chunk');
    await theirs.truncate(7);
    t.is(await file.append([pattern(10)]), 7, 'it was cut');
    await theirs.write(600_000, [pattern(50)]);
    await theirs.flush();
    t.is(await file.append([pattern(10)]), 600_050, 'it was written behind a hole');
    await theirs.truncate(0);
    t.is(await file.append([pattern(10)]), 0, 'its chunks are gone');
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('a client that has not told the master of its records sees that they were cut off', (t) =>
  inRealCluster(2, async ({ client, connect }) => {
    const other = await connect();
    const { file, theirs } = await shared(client, other);
    await theirs.truncate(4);
    t.is((await file.attributes()).length, 4);
    t.is((await client.attributes(file.inode, ME)).length, 4);
    await file.append([pattern(10)]);
    await theirs.truncate(0);
    const { file: again, attributes } = await client.open(file.inode, { write: true }, ME);
    t.is(attributes.length, 0);
    await again.close();
    await file.append([pattern(10)]);
    await theirs.truncate(0);
    await file.flush();
    t.is((await other.attributes(file.inode, ME)).length, 0);
    await theirs.close();
    await file.close();
    await other.close();
  }));
