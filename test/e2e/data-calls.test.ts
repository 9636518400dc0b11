// The ways of reading and writing one file that are not read(2) and write(2) in order: mappings, direct and synchronous ones,
// far offsets, lengths that come and go. Each is seen by the other mount.
import { join } from 'node:path';
import { withFileCalls } from './file-calls.ts';

const test = withFileCalls();

const GiB = 2 ** 30;

test('what is written through a shared mapping and synced is there for the other mount', async (t, {
  here,
  there,
  at,
}) => {
  const [f, g] = [join(here, 'f'), join(there, 'f')];
  t.deepEqual(await at(f, 'rwc', 'write,0,10000,a', 'map,shared,5000,3000,b'), ['10000', '0']);
  const content = '5000xa 3000xb 2000xa';
  t.deepEqual(await at(g, 'r', 'read,0,20000', 'peek,0,10000'), [content, content]);
  t.deepEqual(await at(g, 'rw', 'map,private,0,10000,c', 'read,0,20000'), ['0', content]);
  t.deepEqual(await at(g, 'rw', 'peek,0,10000', 'map,shared,0,100,d'), [content, '0']);
  t.deepEqual(await at(f, 'rw', 'peek,0,10000', 'read,0,9'), ['100xd 4900xa 3000xb 2000xa', '9xd']);
  // Beyond the end, within the last page, nothing stays; over the border of a chunk all does.
  t.deepEqual(await at(f, 'rw', 'map,shared,10000,100,e', 'size', 'truncate,20000', 'read,9990,200'), [
    ...['0', '10000', '0', '10xa 190x.'],
  ]);
  const border = 256 * 1024;
  t.deepEqual(await at(f, 'rw', `truncate,${2 * border}`, `map,shared,${border - 50},100,f`), ['0', '0']);
  t.deepEqual(await at(g, 'r', `read,${border - 60},120`), ['10x. 100xf 10x.']);
  // A file that is open for appending is read without the kernel's pages.
  t.deepEqual(await at(f, 'rwa', 'append,10,z', 'map,shared,0,10,y', 'read,0,12'), ['10', '0', '10xy 2xd']);
  t.deepEqual(await at(g, 'r', 'read,0,12', `read,${2 * border},20`), ['10xy 2xd', '10xz']);
});

test('direct and synchronous reads and writes, of any alignment', async (t, { here, there, at }) => {
  for (const flags of ['rwcd', 'rwcs', 'rwcy', 'rwcds']) {
    const [f, g] = [join(here, flags), join(there, flags)];
    const wrote = await at(
      f,
      flags,
      'write,0,300000,a',
      'write,4095,3,b',
      'write,262143,2,c',
      'read,4090,10',
    );
    t.deepEqual(wrote, ['300000', '3', '2', '5xa 3xb 2xa'], flags);
    t.deepEqual(await at(g, 'rd', 'read,4090,10', 'read,262140,7', 'read,299990,100', 'read,300000,5'), [
      ...['5xa 3xb 2xa', '3xa 2xc 2xa', '10xa', 'nothing'],
    ]);
    t.deepEqual(await at(g, 'r', 'read,4090,10'), ['5xa 3xb 2xa']);
    // Buffered and direct ones beside each other.
    t.deepEqual(await at(f, 'rw', 'write,100,10,d', 'read,95,20'), ['10', '5xa 10xd 5xa']);
    t.deepEqual(await at(f, 'rd', 'read,95,20'), ['5xa 10xd 5xa']);
  }
});

test('files of more than 4 GiB, sparse', async (t, { here, there, at }) => {
  const [f, g] = [join(here, 'f'), join(there, 'f')];
  const far = 5 * GiB + 123;
  const farther = 2 ** 44;
  t.deepEqual(await at(f, 'rwc', `write,${far},10,a`, `write,${farther},5,b`, 'size'), [
    ...['10', '5', String(farther + 5)],
  ]);
  t.deepEqual(
    await at(g, 'r', `read,${far - 5},20`, `read,${farther - 2},100`, `read,${4 * GiB},7`, 'size'),
    [...['5x. 10xa 5x.', '2x. 5xb', '7x.', String(farther + 5)]],
  );
  // A few zeros are data.
  t.deepEqual(await at(g, 'rd', `read,${far},3`, 'data,0', `data,${5 * GiB + 4096}`), [
    ...['3xa', String(5 * GiB), String(farther)],
  ]);
  t.deepEqual(await at(g, 'rw', `truncate,${far + 3}`, 'size', `read,${far},100`), [
    '0',
    String(far + 3),
    '3xa',
  ]);
  t.deepEqual(await at(f, 'r', 'size', `read,${farther},5`), [String(far + 3), 'nothing']);
});

test('files are cut and made longer while both mounts have them open', async (t, { here, there, at }) => {
  const [f, g] = [join(here, 'f'), join(there, 'f')];
  t.deepEqual(
    await at(
      ...([
        f,
        'rwc',
        'write,0,600000,a',
        'truncate,300000',
        'size',
        'read,299990,100',
        'truncate,700000',
      ] as const),
      ...[
        'read,299990,20',
        'read,699995,100',
        'read,700000,1',
        'truncate,0',
        'size',
        'read,0,1',
        'truncate,50',
      ],
    ),
    ['600000', '0', '300000', '10xa', '0', '10xa 10x.', '5x.', 'nothing', '0', '0', 'nothing', '0'],
  );
  t.deepEqual(await at(g, 'rw', 'size', 'read,0,100', 'write,20,5,b', 'truncate,22'), [
    '50',
    '50x.',
    '5',
    '0',
  ]);
  t.deepEqual(await at(f, 'rw', 'read,0,100', 'truncate,30', 'read,0,100'), [
    '20x. 2xb',
    '0',
    '20x. 2xb 8x.',
  ]);
  t.deepEqual(await at(f, 'r', 'truncate,5'), ['EINVAL']);
  t.deepEqual(await at(f, 'rw', 'truncate,-1', `truncate,${2n ** 62n}`), ['EINVAL', 'EFBIG']);
});
