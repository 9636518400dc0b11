import type { Env } from '../../src/base/env.ts';
import type { GfsClient } from '../../src/client/api.ts';
import type { Timeouts } from './attributes.ts';
import { Callers } from './callers.ts';
import { LocalChanges } from './local-changes.ts';
import { OpenFiles } from './open-files.ts';

/** What the parts of a mounted file system share. */
export interface GfsContext {
  readonly env: Env;
  readonly client: GfsClient;
  readonly timeouts: Timeouts;
  readonly callers: Callers;
  readonly changes: LocalChanges;
  readonly openFiles: OpenFiles;
}

export function createContext(env: Env, client: GfsClient, timeouts: Timeouts): GfsContext {
  return {
    ...{ env, client, timeouts, callers: new Callers(env), changes: new LocalChanges() },
    openFiles: new OpenFiles(),
  };
}
