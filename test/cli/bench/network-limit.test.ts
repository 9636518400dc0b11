import test from 'ava';
import { networkPathTo } from '../../../src/cli/bench/network-limit.ts';

test('servers on this machine are reached by loopback, and those that are gone do not count', async (t) => {
  const servers = [
    { address: '192.0.2.1:7500', alive: false },
    { address: '127.0.0.1:7500', alive: true },
    { address: '[::1]:7500', alive: true },
  ];
  t.deepEqual(await networkPathTo(servers), { kind: 'loopback', host: '127.0.0.1' });
});

test('one server on another machine makes the way to it the limit, if its speed is known', async (t) => {
  const servers = [
    { address: '127.0.0.1:7500', alive: true },
    { address: '192.0.2.1:7500', alive: true },
  ];
  const path = await networkPathTo(servers);
  if (path.kind === 'link') t.true(path.interface.length > 0 && path.bytesPerSecond > 0);
  else t.is(path.kind, 'unknown');
  t.deepEqual(await networkPathTo([]), { kind: 'unknown', why: 'no server is known' });
});
