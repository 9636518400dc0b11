import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { CONTRACT, type Route, routesOf } from './contract.ts';
import { withOwnFailures } from './grpc-own-failures.ts';
import { GrpcServerCall } from './grpc-server-call.ts';
import { channelOptions, definitionOf, fieldsOf } from './grpc-wire.ts';
import type { Serving } from './serving.ts';

/** Built from proto/ beside the code: what reflection tells. */
const DESCRIPTORS = join(import.meta.dirname, '../../proto/descriptors.binpb');

type AnyCall =
  | ServerUnaryCall<Buffer, Buffer>
  | ServerReadableStream<Buffer, Buffer>
  | ServerWritableStream<Buffer, Buffer>
  | ServerDuplexStream<Buffer, Buffer>;

/** The gRPC side of a port: the same handlers, with reflection and the standard health service beside them. */
export class GrpcSide {
  readonly #serving: Serving;
  readonly #server: Server;
  readonly #health: HealthImplementation;
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #open = new Set<GrpcServerCall>();

  constructor(serving: Serving) {
    this.#serving = serving;
    const { limits } = serving;
    this.#server = new Server({
      ...channelOptions(limits),
      interceptors: [withOwnFailures],
      'grpc.keepalive_time_ms': limits.callerPingAfterMs,
      'grpc.keepalive_timeout_ms': limits.callerSilenceMsMax,
    });
    const names = serving.handlers.serviceNames;
    for (const service of CONTRACT) {
      const definition: Record<string, ReturnType<typeof definitionOf>> = {};
      const implementation: UntypedServiceImplementation = {};
      // Services that are not served here are known all the same: their callers learn whom they have reached.
      for (const route of routesOf(service)) {
        definition[route.key] = definitionOf(route);
        implementation[route.key] = (call: AnyCall, callback?: sendUnaryData<Buffer>) =>
          this.#handle(route, call, callback);
      }
      this.#server.addService(definition, implementation);
    }
    this.#health = new HealthImplementation(
      Object.fromEntries(['', ...names].map((name) => [name, 'SERVING' as const])),
    );
    this.#health.addToServer(this.#server);
    reflection(names).addToServer(this.#server);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Takes over a connection; bytes that were read from it have been put back. */
  adopt(socket: Socket): void {
    this.#injector.injectConnection(socket);
  }

  /** Takes no new calls; streams that would go on for ever end. Resolves when all calls are over. */
  drain(): Promise<void> {
    for (const service of ['', ...this.#serving.handlers.serviceNames])
      this.#health.setStatus(service, 'NOT_SERVING');
    for (const call of [...this.#open]) call.shutDown();
    return new Promise((resolve) => this.#server.tryShutdown(() => resolve()));
  }

  destroy(): void {
    this.#injector.destroy();
    this.#server.forceShutdown();
  }

  #handle(route: Route, call: AnyCall, callback: sendUnaryData<Buffer> | undefined): void {
    const served = new GrpcServerCall(this.#serving, route, call, callback);
    this.#open.add(served);
    served.run(() => this.#open.delete(served));
  }
}

function reflection(services: readonly string[]): ReflectionService {
  const fileDescriptorProtos = fieldsOf(readFileSync(DESCRIPTORS), 1).map((bytes) => Buffer.from(bytes));
  // Of a package definition, reflection reads the descriptors of its files, and nothing else.
  const files = { gfs: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } };
  const definition = files as unknown as ConstructorParameters<typeof ReflectionService>[0];
  return new ReflectionService(definition, { services: [...services] });
}
