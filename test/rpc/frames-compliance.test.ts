import test from 'ava';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import { compliance } from './compliance.ts';
import { CASES } from './harness.ts';

compliance('frames');

test('every method of the contract has a case', (t) => {
  const named = new Set(CASES.map(({ fullName }) => fullName));
  const all = [MasterDefinition, ChunkserverDefinition].flatMap(({ fullName, methods }) =>
    Object.values(methods).map(({ name }) => `${fullName}/${name}`),
  );
  t.deepEqual(
    all.filter((name) => !named.has(name)),
    [],
  );
});
