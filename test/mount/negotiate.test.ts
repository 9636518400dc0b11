import test from 'ava';
import { type Agreement, negotiate } from '../../mount/negotiate.ts';
import { INIT, KERNEL_MAJOR, KERNEL_MINOR } from '../../mount/wire/numbers.ts';

const KERNEL = {
  kind: 'initialise',
  ...{ major: KERNEL_MAJOR, minor: KERNEL_MINOR, readaheadBytesMax: 131_072, flags: ~0, flags2: ~0 },
} as const;

const ALL = { defaultPermissions: true, xattrs: true, sharedLocks: true };

test('ACLs are left to the kernel only where it checks permissions at all', (t) => {
  const flags = (defaultPermissions: boolean) =>
    negotiate(KERNEL, { ...ALL, defaultPermissions })?.flags ?? 0;
  t.not(flags(true) & INIT.POSIX_ACL, 0);
  t.is(flags(false) & INIT.POSIX_ACL, 0, 'with this flag it would');
  for (const checks of [true, false]) {
    t.not(flags(checks) & INIT.DONT_MASK, 0);
    t.not(flags(checks) & INIT.HANDLE_KILLPRIV_V2, 0);
  }
});

test("without extended attributes there are no ACLs, and locks are the kernel's own if they are not shared", (t) => {
  const flags = (less: Partial<Agreement>) => negotiate(KERNEL, { ...ALL, ...less })?.flags ?? 0;
  const locks = INIT.POSIX_LOCKS | INIT.FLOCK_LOCKS;
  t.is(flags({}) & (locks | INIT.POSIX_ACL), locks | INIT.POSIX_ACL);
  t.is(flags({ xattrs: false }) & (locks | INIT.POSIX_ACL), locks);
  t.is(flags({ sharedLocks: false }) & (locks | INIT.POSIX_ACL), INIT.POSIX_ACL);
});

test('an older kernel is asked for what it has; one that is too old is told so', (t) => {
  const old = { ...KERNEL, flags: INIT.ASYNC_READ | INIT.POSIX_ACL };
  t.is(negotiate(old, ALL)?.flags, INIT.ASYNC_READ | INIT.POSIX_ACL);
  t.is(negotiate({ ...KERNEL, minor: 30 }, ALL), undefined);
});
