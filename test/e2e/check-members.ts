// Whether all members of each chunk of some files hold the same: length, seal, checksums and table of appends, as their
// servers know them. Prints a JSON list of what is wrong. Usage: check-members MASTER PATH...
import { hex, inodeId } from '../../src/base/ids.ts';
import { askServer, ownIdentity, realWorld, type World, withClient } from '../../src/cli/commands/common.ts';
import type { FileStatus } from '../../src/client/api.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';

type Extent = FileStatus['extents'][number];

async function main(master: string, paths: readonly string[]): Promise<string[]> {
  const world = realWorld();
  const caller = ownIdentity();
  return await withClient(world, [master], 'check-members', async (client) => {
    const problems: string[] = [];
    for (const path of paths) {
      const { inode } = await client.resolve(Buffer.from(path), { followLast: false }, { caller });
      const { extents } = await client.statFile(inodeId(inode), { caller });
      for (const extent of extents) problems.push(...(await compare(world, path, extent)));
    }
    return problems;
  });
}

async function compare(world: World, path: string, { chunk, version, members }: Extent): Promise<string[]> {
  const held = await Promise.all(
    members.map(async ({ server, address }) => {
      const holds = await holdingsOf(world, address, chunk, version);
      return { server, holds };
    }),
  );
  const [first] = held;
  if (first === undefined) return [`${path}: chunk ${hex(chunk)} has no members`];
  return held
    .filter(({ holds }) => holds !== first.holds)
    .map(
      ({ server, holds }) =>
        `${path}: chunk ${hex(chunk)} version ${version} on server ${first.server}: ${first.holds}; on server ${server}: ${holds}`,
    );
}

async function holdingsOf(world: World, address: string, chunk: number, version: number): Promise<string> {
  try {
    const method = ChunkserverDefinition.methods.blockChecksums;
    const { message } = await askServer(world, address, method, { chunk, version });
    const table = message.table.map((entry) => Object.values(entry).join(',')).sort();
    const { length, sealed, whole, checksums } = message;
    return JSON.stringify({ length, sealed, whole, checksums, table });
  } catch (error) {
    return String(error);
  }
}

const [, , master = '', ...paths] = process.argv;
process.stdout.write(JSON.stringify(await main(master, paths)));
