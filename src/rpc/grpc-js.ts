import { createRequire } from 'node:module';
import type * as GrpcJs from '@grpc/grpc-js';

const require = createRequire(import.meta.url);

/** The package, loaded when somebody speaks gRPC: who does not would wait for it at every start of a program. */
export function grpcJs(): typeof GrpcJs {
  return require('@grpc/grpc-js') as typeof GrpcJs;
}
