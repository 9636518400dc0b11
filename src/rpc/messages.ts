/**
 * The contract's messages and services, for everyone above `rpc/`. (Only `rpc/` and `storage/` import `src/gen/`.)
 */
export * from '../gen/gfs/v1/chunkserver.ts';
export * from '../gen/gfs/v1/common.ts';
export * from '../gen/gfs/v1/files.ts';
export * from '../gen/gfs/v1/logs.ts';
export * from '../gen/gfs/v1/master.ts';
