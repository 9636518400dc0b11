// Sends zeros to whoever connects, as fast as they go, until its parent has gone. It tells the parent its port.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { MiB } from '../../base/units.ts';

const PIECE = Buffer.alloc(MiB);
const [, , host] = process.argv;

process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.on('disconnect', () => process.exit(0));
const server = createServer((socket) => {
  // The receiver has had enough.
  socket.on('error', () => undefined);
  socket.on('drain', () => send(socket));
  send(socket);
});
server.listen(0, host);
await once(server, 'listening');
process.send?.(server.address());

function send(socket: Socket): void {
  while (!socket.destroyed && socket.write(PIECE));
}
