import test from 'ava';
import type { Env } from '../../src/base/env.ts';
import { type CopyPlace, FileCopier, type FileCopierOptions } from '../../src/client/file-copier.ts';
import { Patience } from '../../src/client/patience.ts';

const LENGTH = 100;

test('data that becomes a hole while it is looked for is looked for anew', async (t) => {
  // A server that begins a replica's log anew finds zeros that had been written to be none.
  const answers = [0, 0, LENGTH];
  const asked: string[] = [];
  const env = { monotonicMs: () => 0, random: () => 0, sleep: async () => undefined } as unknown as Env;
  const options = {
    env,
    finder: {
      find: async (_access: unknown, _range: unknown, what: string) => {
        asked.push(what);
        return answers.shift();
      },
    },
    locations: { forRead: async () => ({ start: 0, end: LENGTH }) },
    zeroer: { zero: async () => 7 },
    chunkSizeBytes: 1024,
  } as unknown as FileCopierOptions;
  const state = { overwriting: () => 0, overwritten: () => undefined };
  const place = { access: {}, state, start: 0 } as unknown as CopyPlace;
  const commit = async () => undefined;
  const patience = new Patience(env, undefined, 1000);
  const copied = await new FileCopier(options).copy(place, place, LENGTH, patience, commit);
  t.deepEqual(copied, { length: LENGTH, zeroedBytes: 7, endsInHole: true });
  t.deepEqual(asked, ['data', 'hole', 'data']);
});
