import { createServer, type Server } from 'node:http';
import type { Logger } from '../base/log.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** What a daemon answers to GET, by path. */
export type HttpRoutes = Readonly<Record<string, () => HttpAnswer | Promise<HttpAnswer>>>;

const HEALTHY: HttpRoutes = { '/healthz': () => text(200, 'ok\n') };

export function text(status: number, body: string): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

/** The HTTP/1.1 side of a port: sockets are handed to it by `server.emit('connection', socket)`. */
export function createHttpServer(log: Logger, routes: HttpRoutes = {}): Server {
  const all = new Map(Object.entries({ ...HEALTHY, ...routes }));
  const server = createServer((request, response) => {
    answerOf(all, request.method ?? '', request.url ?? '').then(
      ({ status, contentType, body }) => {
        response.writeHead(status, {
          'content-type': contentType,
          'content-length': Buffer.byteLength(body),
        });
        response.end(request.method === 'HEAD' ? undefined : body);
      },
      (error: unknown) => {
        log.error({ url: request.url, error }, 'a request by HTTP could not be answered');
        response.writeHead(500).end();
      },
    );
    request.resume();
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  return server;
}

async function answerOf(
  routes: ReadonlyMap<string, () => HttpAnswer | Promise<HttpAnswer>>,
  method: string,
  url: string,
): Promise<HttpAnswer> {
  const [path = ''] = url.split('?', 1);
  const route = routes.get(path);
  if (route === undefined) return text(404, 'not found\n');
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET\n');
  return await route();
}
