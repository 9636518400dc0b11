import { assert } from '../base/assert.ts';
import { crc32 } from '../base/crc.ts';
import { GfsError } from '../base/errors.ts';
import { ChunkserverDefinition, FilesDefinition, LogsDefinition, MasterDefinition } from './messages.ts';
import type { Handler, Method, ServiceBinding, ServiceDefinition } from './network.ts';

/** Every service there is. A process serves some of them, and knows the others by name. */
export const CONTRACT: readonly ServiceDefinition[] = [
  MasterDefinition,
  ChunkserverDefinition,
  FilesDefinition,
  LogsDefinition,
];

/** A method with what identifies it on the wire. */
export interface Route {
  /** "gfs.v1.Master/Lookup". */
  readonly fullName: string;
  /** "/gfs.v1.Master/Lookup", as gRPC has it. */
  readonly path: string;
  /** Its number in frames. */
  readonly id: number;
  readonly service: ServiceDefinition;
  /** The key in `service.methods` and in its handlers. */
  readonly key: string;
  readonly method: Method<unknown, unknown>;
}

export type UnaryHandler = Handler<
  Method<unknown, unknown> & { requestStream: false; responseStream: false }
>;
export type RequestStreamHandler = Handler<
  Method<unknown, unknown> & { requestStream: true; responseStream: false }
>;
export type ResponseStreamHandler = Handler<Method<unknown, unknown> & { responseStream: true }>;

const ROUTES: readonly Route[] = CONTRACT.flatMap((service) =>
  Object.entries(service.methods).map(([key, method]) => {
    const fullName = `${service.fullName}/${method.name}`;
    return {
      fullName,
      path: `/${fullName}`,
      id: crc32(Buffer.from(fullName, 'latin1')),
      service,
      key,
      method: method as Method<unknown, unknown>,
    };
  }),
);
const BY_METHOD: ReadonlyMap<object, Route> = new Map(ROUTES.map((route) => [route.method, route]));
const BY_ID: ReadonlyMap<number, Route> = new Map(ROUTES.map((route) => [route.id, route]));
assert(BY_ID.size === ROUTES.length, 'no two methods have the same number');

export function routesOf(service: ServiceDefinition): readonly Route[] {
  return ROUTES.filter((route) => route.service.fullName === service.fullName);
}

/** The route of a method of the contract, given as the generated object itself. */
export function routeOf(method: object): Route {
  const route = BY_METHOD.get(method);
  assert(route !== undefined, 'a method of the contract');
  return route;
}

export function routeById(id: number): Route | undefined {
  return BY_ID.get(id);
}

/** The handlers of the services that a listener serves. */
export class Handlers {
  readonly #byId = new Map<number, unknown>();
  /** "gfs.v1.Master", ... */
  readonly serviceNames: readonly string[];
  readonly #programs: string;

  constructor(services: readonly ServiceBinding[]) {
    this.serviceNames = services.map(({ definition }) => definition.fullName);
    const names = services.map(({ definition }) => programName(definition));
    this.#programs = names.filter((name) => name !== undefined).join(' and ') || 'mount';
    for (const { definition, handlers } of services) {
      for (const route of routesOf(definition)) {
        const handler = handlers[route.key];
        assert(handler !== undefined, `${route.fullName} has a handler`);
        this.#byId.set(route.id, handler);
      }
    }
  }

  /** The handler; its type follows from the method's kind. Throws `WRONG_SERVICE` when that service isn't served here. */
  of(route: Route): unknown {
    const handler = this.#byId.get(route.id);
    if (handler !== undefined) return handler;
    throw new GfsError('WRONG_SERVICE', `this is a gfs ${this.#programs}, not a ${programOf(route)}`);
  }
}

/** "gfs master": who serves the method, for people. */
export function programOf(route: Route): string {
  return `gfs ${programName(route.service) ?? 'daemon'}`;
}

/** Undefined: every daemon serves it, and a mount nothing else. */
function programName({ name }: ServiceDefinition): string | undefined {
  if (name === LogsDefinition.name) return undefined;
  return name === FilesDefinition.name ? 'gateway' : name.toLowerCase();
}
