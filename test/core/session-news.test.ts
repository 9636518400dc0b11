import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { type InodeId, inodeId, type SessionId, sessionId } from '../../src/base/ids.ts';
import { type News, SessionNews } from '../../src/core/session-news.ts';

const A = sessionId(1);
const B = sessionId(2);
const C = sessionId(3);
const FILE = inodeId(10);
const NAME = Buffer.from('name');
const NOTHING_REMOVED = 0;

function listening(...sessions: SessionId[]): { news: SessionNews; woken: SessionId[] } {
  const woken: SessionId[] = [];
  const news = new SessionNews({ knownCountMax: 100, onNews: (session) => woken.push(session) });
  for (const session of sessions) news.listen(session);
  return { news, woken };
}

function hears(t: ExecutionContext, news: News | undefined, inodes: number[], names: string[] = []): void {
  t.false(news?.everything ?? false);
  t.deepEqual(news?.inodes ?? [], inodes.map(inodeId));
  t.deepEqual(
    (news?.names ?? []).map(({ name }) => name.toString()),
    names,
  );
}

test('who looked it up is told of a change, and nobody else', (t) => {
  const { news, woken } = listening(A, B, C);
  news.learntInode(A, FILE);
  news.learntInode(B, FILE);
  news.inodeChanged(FILE, A);
  t.deepEqual(woken, [B]);
  hears(t, news.take(A), []);
  hears(t, news.take(B), [FILE]);
  hears(t, news.take(C), []);
});

test('who was told hears no more of it before it looks again', (t) => {
  const { news, woken } = listening(B);
  news.learntInode(B, FILE);
  for (let count = 0; count < 1000; count += 1) news.inodeChanged(FILE, A);
  hears(t, news.take(B), [FILE]);
  news.inodeChanged(FILE, A);
  t.is(news.take(B), undefined);
  news.learntInode(B, FILE);
  news.inodeChanged(FILE, A);
  hears(t, news.take(B), [FILE]);
  t.deepEqual(woken, [B, B]);
});

test('who read it is no reason to look again: it is told of each time, and the inode stays known', (t) => {
  const { news, woken } = listening(A, B, C);
  news.learntInode(A, FILE);
  news.learntInode(B, FILE);
  for (let count = 0; count < 2; count += 1) {
    news.accessTimeChanged(FILE, A);
    news.accessTimeChanged(FILE, A);
    t.is(news.unheard({ inodes: [FILE], names: [] }, A), undefined, 'nobody waits');
    const { accessed, inodes } = news.take(B) ?? {};
    t.deepEqual([accessed, inodes], [[FILE], []]);
    t.true(news.knows(B, FILE));
  }
  t.deepEqual(woken, [B, B]);
  t.deepEqual([news.take(A), news.take(C)], [undefined, undefined]);
});

test('a change that comes behind a read is told alone', (t) => {
  const { news } = listening(B);
  news.learntInode(B, FILE);
  news.accessTimeChanged(FILE, A);
  news.inodeChanged(FILE, A);
  const { accessed, inodes } = news.take(B) ?? {};
  t.deepEqual([accessed, inodes], [[], [FILE]]);
});

test('a name is news by itself, of one directory', (t) => {
  const { news } = listening(B);
  news.learntName(B, inodeId(1), NAME);
  news.nameChanged({ parent: inodeId(2), name: NAME, removed: NOTHING_REMOVED }, A);
  t.is(news.take(B), undefined);
  const name = Buffer.from(NAME);
  news.nameChanged({ parent: inodeId(1), name, removed: FILE }, A);
  name.fill(0);
  t.deepEqual(news.take(B), {
    number: 1,
    everything: false,
    inodes: [],
    names: [{ parent: inodeId(1), name: NAME, removed: FILE }],
    accessed: [],
  });
});

test('the master itself is nobody: all who looked are told', (t) => {
  const { news } = listening(A, B);
  news.learntInode(A, FILE);
  news.learntInode(B, FILE);
  news.inodeChanged(FILE, 0);
  hears(t, news.take(A), [FILE]);
  hears(t, news.take(B), [FILE]);
});

test('a session that knows too much is told to forget everything, once', (t) => {
  const woken: SessionId[] = [];
  const news = new SessionNews({ knownCountMax: 3, onNews: (session) => woken.push(session) });
  news.listen(B);
  for (let inode = 1; inode <= 4; inode += 1) news.learntInode(B, inodeId(inode));
  t.deepEqual(woken, [B]);
  t.deepEqual(news.take(B), { number: 1, everything: true, inodes: [], names: [], accessed: [] });
  news.inodeChanged(inodeId(1), A);
  t.is(news.take(B), undefined, 'it was told to forget it');
  news.inodeChanged(inodeId(4), A);
  hears(t, news.take(B), [4]);
});

test('what a session was told and does not take counts against what may be remembered for it', (t) => {
  const { news } = listening(B);
  for (let inode = 1; inode <= 1000; inode += 1) {
    news.learntInode(B, inodeId(inode));
    news.inodeChanged(inodeId(inode), A);
  }
  const told = news.take(B);
  t.true(told?.everything);
  t.true((told?.inodes.length ?? 0) <= 100);
});

test('nothing is kept of a session that ended, or begins to listen anew', (t) => {
  const { news } = listening(A, B);
  news.learntInode(A, FILE);
  news.learntInode(B, FILE);
  news.learntName(B, FILE, NAME);
  news.end(B);
  t.is(news.knownCount, 1);
  news.learntInode(B, FILE);
  news.inodeChanged(FILE, A);
  t.is(news.take(B), undefined);
  news.listen(A);
  t.is(news.knownCount, 0);
});

test('who believes what changed is waited for until he heard: of this change, or of one before', (t) => {
  const { news } = listening(A, B, C);
  const items = { inodes: [FILE], names: [{ parent: FILE, name: NAME }] };
  t.is(news.unheard(items, A), undefined);
  news.learntInode(B, FILE);
  news.learntName(C, FILE, NAME);
  news.learntInode(C, inodeId(11));
  news.inodeChanged(FILE, A);
  t.deepEqual(news.unheard(items, A), [{ session: B, number: 1 }]);
  t.is(news.unheard(items, B), undefined, 'who changed it knows');
  news.take(B);
  news.learntInode(B, FILE);
  news.inodeChanged(FILE, A);
  t.deepEqual(news.unheard(items, A), [{ session: B, number: 2 }]);
  news.nameChanged({ parent: FILE, name: NAME, removed: 0 }, A);
  t.deepEqual(news.unheard(items, 0), [
    { session: B, number: 2 },
    { session: C, number: 1 },
  ]);
  news.heard(B, 1);
  t.is(news.unheard(items, A)?.length, 2);
  news.take(B);
  news.heard(B, 2);
  t.deepEqual(news.unheard(items, A), [{ session: C, number: 1 }]);
  t.is(news.unheard({ inodes: [inodeId(11)], names: [] }, A), undefined, 'of something else');
  news.end(C);
  t.is(news.unheard(items, A), undefined);
});

test('a session that is to forget everything has heard of nothing', (t) => {
  const news = new SessionNews({ knownCountMax: 2, onNews: () => undefined });
  news.listen(B);
  for (let inode = 1; inode <= 3; inode += 1) news.learntInode(B, inodeId(inode));
  const items = { inodes: [inodeId(99)], names: [] };
  t.deepEqual(news.unheard(items, A), [{ session: B, number: 1 }]);
  t.true(news.take(B)?.everything);
  t.deepEqual(news.unheard(items, A), [{ session: B, number: 1 }]);
  news.heard(B, 1);
  t.is(news.unheard(items, A), undefined);
});

/**
 * The dumb model is the session itself: what it believes, and what of that is old by now. After it took its news nothing that
 * it believes may be old; and while there is no bound to overflow, it is told nothing that is not.
 */
test('a session that took its news believes nothing that is old', (t) => {
  const session = fc.integer({ min: 1, max: 3 }).map(sessionId);
  const inode = fc.integer({ min: 1, max: 6 }).map(inodeId);
  const kind = fc.constantFrom('listen', 'end', 'take', 'inode', 'name', 'changeInode', 'changeName');
  const steps = fc.array(fc.record({ kind, session, inode }), { maxLength: 80 });
  const bounds = fc.constantFrom(2, 5, UNBOUNDED);
  t.notThrows(() =>
    fc.assert(
      fc.property(steps, bounds, (given, knownCountMax) => {
        const world = new BelieverWorld(knownCountMax);
        for (const step of given) world.step(step.kind, step.session, step.inode);
        for (const listener of [A, B, C]) world.step('take', listener, FILE);
      }),
      { numRuns: 2000 },
    ),
  );
});

const UNBOUNDED = 1000;

class BelieverWorld {
  readonly #news: SessionNews;
  readonly #bound: number;
  readonly #believers = new Map<SessionId, { believed: Set<string>; old: Set<string> }>();

  constructor(knownCountMax: number) {
    this.#bound = knownCountMax;
    this.#news = new SessionNews({ knownCountMax, onNews: () => undefined });
  }

  step(kind: string, session: SessionId, inode: InodeId): void {
    switch (kind) {
      case 'listen':
        this.#news.listen(session);
        this.#believers.set(session, { believed: new Set(), old: new Set() });
        break;
      case 'end':
        this.#news.end(session);
        this.#believers.delete(session);
        break;
      case 'inode':
        this.#news.learntInode(session, inode);
        this.#learn(session, `${inode}`);
        break;
      case 'name':
        this.#news.learntName(session, inode, NAME);
        this.#learn(session, `${inode}/`);
        break;
      case 'changeInode':
        this.#news.inodeChanged(inode, session);
        this.#change(session, `${inode}`);
        break;
      case 'changeName':
        this.#news.nameChanged({ parent: inode, name: NAME, removed: 0 }, session);
        this.#change(session, `${inode}/`);
        break;
      case 'take':
        this.#take(session);
        break;
    }
  }

  #learn(session: SessionId, item: string): void {
    const believer = this.#believers.get(session);
    // An answer brings what is so now, but news of the time before may still come: until then it stays old.
    believer?.believed.add(item);
  }

  #change(by: SessionId, item: string): void {
    for (const [session, { believed, old }] of this.#believers) {
      if (session !== by && believed.has(item)) old.add(item);
    }
  }

  #take(session: SessionId): void {
    const told = this.#news.take(session);
    const believer = this.#believers.get(session);
    if (believer === undefined) {
      if (told !== undefined) throw new Error('news for somebody who does not listen');
      return;
    }
    const { believed, old } = believer;
    const items = [
      ...(told?.inodes ?? []).map(String),
      ...(told?.names ?? []).map(({ parent }) => `${parent}/`),
    ];
    for (const item of items) {
      if (this.#bound === UNBOUNDED && !old.has(item)) throw new Error(`${item} has not changed`);
      believed.delete(item);
    }
    for (const item of items) old.delete(item);
    if (told?.everything) {
      if (this.#bound === UNBOUNDED) throw new Error('nothing had to be forgotten');
      believed.clear();
      old.clear();
    }
    if (old.size > 0) throw new Error(`${[...old]} is old and believed`);
  }
}
