import type { Server } from 'node:net';
import { GfsError } from '../base/errors.ts';
import { formatAddress, parseAddress } from './address.ts';
import { wordsOf } from './failure.ts';

/** Has a server listen on "host:port"; resolves to that with the real port. UNAVAILABLE, in words, when it cannot. */
export async function bind(server: Server, address: string): Promise<string> {
  const wanted = parseAddress(address);
  await new Promise<void>((resolve, reject) => {
    const refused = (cause: Error) =>
      reject(new GfsError('UNAVAILABLE', `cannot listen on ${address}: ${wordsOf(cause)}`, { cause }));
    server.once('error', refused);
    server.listen({ ...wanted }, () => {
      server.off('error', refused);
      resolve();
    });
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : wanted.port;
  return formatAddress({ host: wanted.host, port });
}
