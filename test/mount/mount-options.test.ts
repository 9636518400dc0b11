import test from 'ava';
import { accessTimesBy, MountOptionsParser } from '../../mount/mount-options.ts';

const parse = (...lists: string[]) => {
  const parser = new MountOptionsParser();
  for (const list of lists) parser.add(list);
  return parser.options;
};

test('without options nobody becomes root here, and the kernel checks permissions', (t) => {
  const options = parse();
  t.deepEqual([...options.flags], ['noSetuid', 'noDevices']);
  t.true(options.defaultPermissions);
  t.false(options.allowOther);
  t.is(options.attributeTimeoutMs, 1000);
});

test('later options weigh more than earlier ones', (t) => {
  const options = parse('ro,noexec,allow_other,attr_timeout=5', 'rw,suid,attr_timeout=0.25,entry_timeout=2s');
  t.deepEqual([...options.flags].sort(), ['noDevices', 'noExecute']);
  t.true(options.allowOther);
  t.deepEqual([options.attributeTimeoutMs, options.entryTimeoutMs], [250, 2000]);
});

test('extended attributes and shared locks can be done without', (t) => {
  const shared = (...lists: string[]) => {
    const { xattrs, sharedLocks } = parse(...lists);
    return [xattrs, sharedLocks];
  };
  t.deepEqual(shared(), [true, true]);
  t.deepEqual(shared('noxattr,nolock'), [false, false]);
  t.deepEqual(shared('noxattr,nolock', 'xattr'), [true, false]);
  t.deepEqual(shared('nolock', 'lock'), [true, true]);
});

test('what /etc/fstab says to others is passed over', (t) => {
  const options = parse('defaults,noauto,user,_netdev,nofail,x-systemd.automount,x-gvfs-show,comment=mine');
  t.deepEqual(options, parse());
});

test('which reads count follows from the options', (t) => {
  const counted = (list: string) => {
    const { ofFiles, ofDirectories } = accessTimesBy(parse(list));
    return [ofFiles, ofDirectories];
  };
  for (const list of ['defaults', 'relatime', 'strictatime', 'noatime,atime', 'nodiratime,diratime'])
    t.deepEqual(counted(list), [true, true], list);
  t.deepEqual(counted('nodiratime'), [true, false]);
  t.deepEqual(counted('noatime'), [false, false]);
  t.deepEqual(counted('ro'), [false, false]);
});

test('a wrong option is named', (t) => {
  t.throws(() => parse('rw,frobnicate'), { message: /"frobnicate"/ });
  t.throws(() => parse('attr_timeout=soon'), { message: /attr_timeout.*"soon"/ });
  t.throws(() => parse('entry_timeout'), { message: /entry_timeout needs a value/ });
  t.throws(() => parse('io_timeout=0'), { message: /io_timeout.*too short/ });
  t.throws(() => parse('readers=99'), { message: /readers.*1 to 8/ });
});
