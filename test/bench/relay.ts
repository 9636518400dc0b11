// A process of the append benchmark that passes records on and does nothing else of what a chunkserver does: what arrives on a
// connection goes to the addresses it was given, and is answered when all of those have answered. Prints its own address, and
// ends with its standard input.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const others = process.argv.slice(2);

/** One record at a time is on its way, as long as it is; its answer is as long. */
function serve(client: Socket): void {
  let bytes = 0;
  let missing = 0;
  const answer = () => client.write(Buffer.alloc(bytes));
  const links = others.map((address) => {
    const [host, port] = address.split(':');
    const link = connect({ host, port: Number(port), noDelay: true });
    link.on('data', () => {
      missing -= 1;
      if (missing === 0) answer();
    });
    link.on('error', () => client.destroy());
    return link;
  });
  client.on('data', (record) => {
    bytes = record.length;
    missing = links.length;
    for (const link of links) link.write(record);
    if (missing === 0) answer();
  });
  client.on('error', () => undefined);
  client.on('close', () => {
    for (const link of links) link.destroy();
  });
}

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`127.0.0.1:${(server.address() as AddressInfo).port}\n`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
