import type { Env } from '../base/env.ts';
import { bind } from './bind.ts';
import { createHttpServer, type HttpRoutes } from './http.ts';
import type { Listener } from './network.ts';

/** A port with nothing but HTTP/1.1 on it, for a process that serves no calls. */
export async function serveHttp(env: Env, address: string, routes: HttpRoutes): Promise<Listener> {
  const server = createHttpServer(env.log, routes);
  const bound = await bind(server, address);
  server.on('error', (error) => env.log.error({ address: bound }, `listening on ${bound}: ${error.message}`));
  return {
    address: bound,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
