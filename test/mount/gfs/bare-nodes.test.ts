import test from 'ava';
import { tellBareNodes } from '../../../mount/gfs/bare-nodes.ts';
import { NOBODY } from '../../../mount/gfs/kernel-belief.ts';
import { inodeId } from '../../../src/base/ids.ts';
import type { XattrsListener } from '../../../src/client/known-xattrs.ts';

const FILE = inodeId(7);

test('a kernel is answered without us for as long as what is known of the inode may be believed', (t) => {
  const said: string[] = [];
  let listener: XattrsListener | undefined;
  const client = { knownForMs: 900, onXattrsKnown: (one: XattrsListener) => (listener = one) };
  tellBareNodes(client, {
    ...NOBODY,
    bare: (node, forMs) => said.push(`${node} for ${forMs}`),
    unbare: (node) => said.push(`not ${node}`),
  });
  listener?.none(FILE);
  client.knownForMs = 0;
  listener?.none(FILE);
  listener?.maybeSome(FILE);
  listener?.maybeSome();
  t.deepEqual(said, ['7 for 900', 'not 7', 'not undefined']);
});
