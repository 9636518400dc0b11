// A program that streams a file through a gateway and never comes to its end: HALF-WRITER ADDRESS PATH.
import { Stranger } from './gateway-cluster.ts';

const [, , address = '', path = ''] = process.argv;
const stranger = new Stranger(address, { 'x-user': '0', 'x-groups': '0' });
const stream = stranger.openWrite({ path: Buffer.from(path) });
const piece = Buffer.alloc(256 * 1024, 'half');
const pump = () => {
  while (stream.write({ payload: piece } as never));
  stream.once('drain', pump);
};
pump();
process.send?.('writing');
