import test from 'ava';
import { inodeId, sessionId } from '../../src/base/ids.ts';
import { type OpenFile, SessionTable } from '../../src/core/session-table.ts';

const S = sessionId(1);
const T = sessionId(2);
const FILE = inodeId(10);
const DESCRIPTION = { host: 'h', program: 'p', kernelWalksPaths: false };
const known = (...sessions: (typeof S)[]) => sessions.map((session) => ({ session, ...DESCRIPTION }));
const table = (...sessions: (typeof S)[]) =>
  new SessionTable({ timeoutMs: 60_000, nowMs: 0, known: known(...sessions) });

function fresh(...sessions: (typeof S)[]): SessionTable {
  const sessionTable = table();
  for (const session of sessions) sessionTable.begin({ session, ...DESCRIPTION }, 0);
  return sessionTable;
}
const LIVES = { files: [], complete: false };
const file = (openId: number, write = false): OpenFile => ({ openId, inode: FILE, read: true, write });

test('a file is open until its last close, whoever closes last', (t) => {
  const sessions = fresh(S, T);
  sessions.open(S, file(1));
  sessions.open(S, file(2, true));
  sessions.open(T, file(1));
  t.is(sessions.close(S, 1), undefined);
  t.deepEqual(sessions.writersOf(FILE), [S]);
  t.is(sessions.close(S, 2), undefined);
  t.deepEqual(sessions.writersOf(FILE), []);
  t.deepEqual(sessions.end(T), [FILE]);
  t.false(sessions.isOpen(FILE));
});

test('an open or close that is sent twice counts once', (t) => {
  const sessions = fresh(S);
  sessions.open(S, file(1));
  sessions.open(S, file(1));
  t.is(sessions.close(S, 1), FILE);
  t.is(sessions.close(S, 1), undefined);
});

test('one open id does not name two files', (t) => {
  const sessions = fresh(S);
  sessions.open(S, file(1));
  t.false(sessions.open(S, { ...file(1), inode: inodeId(11) }).ok);
});

test('a session that says nothing for a minute has run out', (t) => {
  const sessions = fresh(S);
  sessions.touch(S, 10_000);
  t.deepEqual(sessions.expired(69_999), []);
  t.deepEqual(sessions.expired(70_000), [S]);
  sessions.end(S);
  const refused = sessions.renew(S, LIVES, 70_001);
  t.is(refused.ok ? undefined : refused.error.code, 'NO_SUCH_SESSION');
});

test('after a restart nothing is complete until every session told what it has open, or its time ran out', (t) => {
  const sessions = table(S, T);
  t.deepEqual(sessions.renew(S, LIVES, 10), { ok: true, value: { tell: true } });
  t.false(sessions.isComplete(10));
  t.deepEqual(sessions.renew(S, { files: [file(4, true)], complete: true }, 20), {
    ok: true,
    value: { tell: false },
  });
  t.deepEqual(sessions.writersOf(FILE), [S]);
  t.false(sessions.isComplete(20));
  t.deepEqual(sessions.renew(T, { files: [], complete: true }, 30), { ok: true, value: { tell: false } });
  t.true(sessions.isComplete(30));
});

test('after the grace, silence about open files means none', (t) => {
  const sessions = table(S, T);
  t.true(sessions.isComplete(60_000));
  t.deepEqual(sessions.renew(S, LIVES, 60_000), { ok: true, value: { tell: false } });
});

test('what was opened under this master survives the telling', (t) => {
  const sessions = table(S);
  sessions.open(S, file(7));
  sessions.renew(S, { files: [file(7), file(8)], complete: true }, 1);
  t.is(sessions.close(S, 7), undefined);
  t.is(sessions.close(S, 8), FILE);
});

test('a file is written by others while another session has it open for writing, and by nobody else', (t) => {
  const sessions = fresh(S, T);
  sessions.open(S, file(1, true));
  sessions.open(T, file(1));
  t.false(sessions.mayBeWrittenByOthers(FILE, S));
  t.true(sessions.mayBeWrittenByOthers(FILE, T));
  t.true(sessions.mayBeWrittenByOthers(FILE, 0));
  t.false(sessions.mayBeWrittenByOthers(inodeId(11), T));
  sessions.open(T, file(2, true));
  t.true(sessions.mayBeWrittenByOthers(FILE, S));
  sessions.close(S, 1);
  t.false(sessions.mayBeWrittenByOthers(FILE, T));
});

test('P21: what a session was writing when it ended counts as being written until its length is known', (t) => {
  const sessions = fresh(S, T);
  sessions.open(S, file(1, true));
  sessions.open(S, { ...file(2), inode: inodeId(11) });
  sessions.end(S);
  t.true(sessions.mayBeWrittenByOthers(FILE, T));
  t.false(sessions.mayBeWrittenByOthers(inodeId(11), T), 'it was only read');
  const [first] = sessions.unsettled(10);
  t.is(first?.inode, FILE);
  // Another writer goes while the first one's length is being found out.
  sessions.open(T, file(1, true));
  sessions.end(T);
  if (first !== undefined) sessions.settled(first);
  t.true(sessions.mayBeWrittenByOthers(FILE, 0));
  for (const unsettled of sessions.unsettled(10)) sessions.settled(unsettled);
  t.false(sessions.mayBeWrittenByOthers(FILE, 0));
});

test('P21: after a restart every file counts as being written until each session told, or ended and was looked for', (t) => {
  const sessions = table(S, T);
  t.true(sessions.mayBeWrittenByOthers(FILE, S));
  sessions.renew(S, { files: [], complete: true }, 1);
  t.true(sessions.mayBeWrittenByOthers(FILE, S));
  t.false(sessions.mayHaveLostWriters);
  sessions.end(T);
  t.true(sessions.mayHaveLostWriters);
  t.true(sessions.mayBeWrittenByOthers(FILE, S), 'T may have left anything');
  sessions.unsettle(FILE);
  sessions.lostWritersFound();
  t.true(sessions.mayBeWrittenByOthers(FILE, S));
  t.false(sessions.mayBeWrittenByOthers(inodeId(11), S));
});

test('what cannot be settled now lets others go first', (t) => {
  const sessions = fresh();
  for (const inode of [1, 2, 3]) sessions.unsettle(inodeId(inode));
  const [first] = sessions.unsettled(1);
  if (first !== undefined) sessions.postpone(first);
  t.deepEqual(
    sessions.unsettled(2).map(({ inode }) => inode),
    [2, 3].map(inodeId),
  );
  t.is(sessions.unsettled(9).length, 3);
});
