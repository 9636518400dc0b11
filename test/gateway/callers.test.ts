import test from 'ava';
import { codeOf, type ErrorCode } from '../../src/base/errors.ts';
import type { Identity } from '../../src/client/api.ts';
import { type Callers, callerOf, parseCallers } from '../../src/gateway/callers.ts';

const NOBODY: Identity = { uid: 65_534, gid: 65_534, groups: [] };

/** What metadata says, as x-user and x-groups. */
type Told = readonly [string | undefined, string | undefined];

function caller(callers: Callers, [user, groups]: Told): Identity | ErrorCode {
  const metadata = (key: string) => (key === 'x-user' ? user : key === 'x-groups' ? groups : undefined);
  try {
    return callerOf(callers, { metadata });
  } catch (error) {
    return codeOf(error);
  }
}

function parsed(text: string): Callers | ErrorCode {
  try {
    return parseCallers(text);
  } catch (error) {
    return codeOf(error);
  }
}

test('metadata says who asks; who says nothing is nobody', (t) => {
  const check = (told: Told, expected: Identity | ErrorCode) =>
    t.deepEqual(caller('metadata', told), expected, String(told));
  check([undefined, undefined], NOBODY);
  check(['1000', '1000,27, 4'], { uid: 1000, gid: 1000, groups: [27, 4] });
  check(['0', '0'], { uid: 0, gid: 0, groups: [] });
  check(['1000', undefined], { uid: 1000, gid: 65_534, groups: [] });
  check(['4294967294', '1'], { uid: 4_294_967_294, gid: 1, groups: [] });
  for (const user of ['', 'root', '-1', '1.5', '0x0', '1,2', '4294967295', '99999999999', ' ']) {
    check([user, '1'], 'INVALID_ARGUMENT');
  }
  for (const groups of ['', ',', '1,', '1,,2', '1;2', '-1', '1,4294967295']) {
    check(['1000', groups], 'INVALID_ARGUMENT');
  }
  check([undefined, '0'], 'INVALID_ARGUMENT');
});

test('where everybody is one user, nobody else can be named', (t) => {
  const alice = { uid: 1000, gid: 100, groups: [27] };
  t.deepEqual(caller(alice, [undefined, undefined]), alice);
  t.deepEqual(caller(alice, ['1000', '100,27']), alice);
  t.is(caller(alice, ['0', '0']), 'PERMISSION_DENIED');
  t.is(caller(alice, ['1000', '100,0']), 'PERMISSION_DENIED');
  t.is(caller(alice, ['x', undefined]), 'INVALID_ARGUMENT');
});

test('--identity is "metadata", or a user and groups', (t) => {
  t.is(parsed('metadata'), 'metadata');
  t.deepEqual(parsed('1000:100,27'), { uid: 1000, gid: 100, groups: [27] });
  for (const text of ['', 'Metadata', '1000', '1000:', ':1000', 'alice:users', '1000:1:2', '-1:1']) {
    t.is(parsed(text), 'INVALID_ARGUMENT', text);
  }
});
