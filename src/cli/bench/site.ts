import { rm } from 'node:fs/promises';
import type { Env } from '../../base/env.ts';
import { inodeId } from '../../base/ids.ts';
import { MINUTE_MS } from '../../base/units.ts';
import type { GfsClient } from '../../client/api.ts';
import { type World, withClient } from '../commands/common.ts';
import { Files } from '../files/files.ts';
import { isNotFound, named } from '../files/named-error.ts';
import { removeTree } from '../files/remove-tree.ts';
import { ClusterGround } from './cluster-ground.ts';
import type { Ground } from './ground.ts';
import { LocalGround } from './local-ground.ts';

/** The directory of a run, as its workers are told it before it is made. */
export type Site =
  | { readonly kind: 'local'; readonly directory: Uint8Array }
  | {
      readonly kind: 'cluster';
      readonly masters: readonly string[];
      readonly path: Uint8Array;
      readonly parent: number;
      readonly name: Uint8Array;
    };

/** A worker that was just killed may still make a last file. */
const REMOVAL_TRIES = 20;
const REMOVAL_DELAY_MS = 100;

export async function openGround(world: World, site: Site, signal: AbortSignal): Promise<Ground> {
  if (site.kind === 'local') return new LocalGround(site.directory);
  return await ClusterGround.connect({ ...site, world, signal });
}

/** Removes the directory with all that is in it, if it was made. */
export async function removeSite(world: World, site: Site): Promise<void> {
  if (site.kind === 'local') await removeLocal(site.directory);
  else {
    await withClient(world, site.masters, 'gfs bench', (client) => removeInCluster(world.env, client, site), {
      ioTimeoutMs: MINUTE_MS,
    });
  }
}

async function removeLocal(directory: Uint8Array): Promise<void> {
  const path = Buffer.from(directory);
  const options = { recursive: true, force: true, maxRetries: REMOVAL_TRIES, retryDelay: REMOVAL_DELAY_MS };
  await rm(path, options).catch((error: unknown) => {
    throw named(path, error);
  });
}

async function removeInCluster(
  env: Env,
  client: GfsClient,
  { path, parent, name }: Site & { kind: 'cluster' },
): Promise<void> {
  // Nothing ends this one: it is what an end waits for.
  const files = new Files(env, client, new AbortController());
  const place = { parent: inodeId(parent), name: Buffer.from(name), path: Buffer.from(path) };
  await removeTree(files, place).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}
