import test from 'ava';
import fc from 'fast-check';
import { serverId } from '../../src/base/ids.ts';
import { type Candidate, memberCountMin, placeChunk, placeCopy } from '../../src/core/placement.ts';

const CHUNK = 64;

function candidate(server: number, change: Partial<Candidate> = {}): Candidate {
  return {
    server: serverId(server),
    rack: '',
    totalBytes: 100_000,
    availableBytes: 50_000,
    placedCount: 0,
    suspect: false,
    ...change,
  };
}
const middle = () => 0.5;
const place = (candidates: readonly Candidate[], goal: number, random: () => number = middle) =>
  placeChunk(candidates, { goal, minReplicas: 2, chunkSizeBytes: CHUNK, random });

function codeOf(candidates: readonly Candidate[], goal: number): string {
  const result = place(candidates, goal);
  return result.ok ? `${result.value.length} members` : result.error.code;
}

test('as many members as there are servers, but not fewer than the minimum', (t) => {
  t.is(
    codeOf(
      [1, 2, 3, 4].map((id) => candidate(id)),
      3,
    ),
    '3 members',
  );
  t.is(
    codeOf(
      [1, 2].map((id) => candidate(id)),
      3,
    ),
    '2 members',
  );
  t.is(codeOf([candidate(1)], 3), 'TOO_FEW_REPLICAS');
  t.is(codeOf([candidate(1)], 1), '1 members');
  t.is(codeOf([], 1), 'TOO_FEW_REPLICAS');
});

test('only servers with room are chosen, and none with room means no space', (t) => {
  const full = { availableBytes: CHUNK - 1 };
  t.is(codeOf([candidate(1, full), candidate(2), candidate(3)], 3), '2 members');
  t.is(codeOf([candidate(1, full), candidate(2, full), candidate(3, full)], 3), 'NO_SPACE');
  t.is(codeOf([candidate(1, full), candidate(2, full), candidate(3)], 3), 'NO_SPACE');
});

test('the members of a chunk lie on different racks where they can', (t) => {
  const candidates = [
    candidate(1, { rack: 'a', availableBytes: 99_000 }),
    candidate(2, { rack: 'a', availableBytes: 98_000 }),
    candidate(3, { rack: 'b', availableBytes: 1000 }),
  ];
  const result = place(candidates, 2);
  t.deepEqual(result.ok && new Set(result.value), new Set([serverId(1), serverId(3)]));
});

test('emptier servers are preferred, suspects taken last', (t) => {
  const candidates = [
    candidate(1, { availableBytes: 10_000 }),
    candidate(2, { availableBytes: 90_000 }),
    candidate(3, { availableBytes: 90_000 }),
    candidate(4, { availableBytes: 100_000, suspect: true }),
  ];
  const result = place(candidates, 2);
  t.deepEqual(result.ok && new Set(result.value), new Set([serverId(2), serverId(3)]));
});

test('everyone is primary in turn', (t) => {
  const candidates = [1, 2, 3].map((id) => candidate(id));
  const primaries = new Set<number>();
  for (let dice = 0; dice < 1; dice += 0.05) {
    const result = place(candidates, 3, () => dice);
    if (result.ok) primaries.add(result.value[0] ?? 0);
  }
  t.is(primaries.size, 3);
});

test('never two replicas on a server, never more than the goal, never fewer than the minimum', (t) => {
  const candidates = fc.uniqueArray(
    fc.record({
      server: fc.integer({ min: 1, max: 40 }).map((id) => serverId(id)),
      rack: fc.constantFrom('', 'a', 'b', 'c'),
      totalBytes: fc.integer({ min: 0, max: 10_000 }),
      availableBytes: fc.integer({ min: -100, max: 10_000 }),
      placedCount: fc.integer({ min: 0, max: 100 }),
      suspect: fc.boolean(),
    }),
    { selector: ({ server }) => server, maxLength: 12 },
  );
  const dice = fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true }));
  fc.assert(
    fc.property(candidates, fc.integer({ min: 1, max: 9 }), dice, (servers, goal, rolls) => {
      const result = place(servers, goal, () => rolls.next().value ?? 0);
      if (!result.ok) return true;
      const { length } = result.value;
      const roomy = servers.filter(({ availableBytes }) => availableBytes >= CHUNK);
      return (
        new Set(result.value).size === length &&
        length <= goal &&
        length >= memberCountMin(goal, 2) &&
        result.value.every((server) => roomy.some((candidate) => candidate.server === server))
      );
    }),
  );
  t.pass();
});

test('one more copy: each reason decides between servers that are equal in all weightier ones', (t) => {
  const emptiest = { availableBytes: 100_000 };
  // Each has against it what its name says, and nothing that comes later.
  const candidates = {
    suspect: candidate(1, { ...emptiest, suspect: true }),
    avoided: candidate(2, emptiest),
    sameRack: candidate(3, { ...emptiest, rack: 'r' }),
    withoutOldCopy: candidate(4, emptiest),
    busy: candidate(5, emptiest),
    full: candidate(6, { availableBytes: 0 }),
    best: candidate(7),
  };
  const id = (server: number) => serverId(server);
  const place = (among: readonly Candidate[]) =>
    placeCopy(among, {
      racks: new Set(['r']),
      copiesTo: (server) => (server === id(5) ? 1 : 0),
      holds: (server) => server !== id(4),
      avoid: id(2),
      chunkSizeBytes: CHUNK,
      random: middle,
    });
  const worstFirst = Object.values(candidates);
  for (const [index, worse] of worstFirst.entries()) {
    for (const better of worstFirst.slice(index + 1)) {
      t.is(place([worse, better]), better.server, `${worse.server} or ${better.server}`);
      t.is(place([better, worse]), better.server, `${better.server} or ${worse.server}`);
    }
  }
});

test('one more copy goes only where there is room, or an older copy to begin with', (t) => {
  const wish = { racks: new Set<string>(), copiesTo: () => 0, avoid: undefined, chunkSizeBytes: CHUNK };
  const full = [candidate(1, { availableBytes: CHUNK - 1 })];
  t.is(placeCopy(full, { ...wish, holds: () => false, random: middle }), undefined);
  t.is(placeCopy(full, { ...wish, holds: () => true, random: middle }), serverId(1));
  t.is(placeCopy([], { ...wish, holds: () => true, random: middle }), undefined);
});
