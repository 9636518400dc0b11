// Every call of gfs.v1.Files against everything that can be wrong, as a program of any language sees it: status, and our own code.
// Calls that are cancelled, and streams that break, are in files-api.test.ts and test/gateway/bad-input.test.ts.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { errorOfStatus } from '../../src/rpc/grpc-wire.ts';
import { FilesDefinition } from '../../src/rpc/messages.ts';
import { GatewayCluster, Stranger } from './gateway-cluster.ts';

const ADMIN = { 'x-user': '0', 'x-groups': '0' };
const BOB = { 'x-user': '1001', 'x-groups': '1001' };
const LONG = 'n'.repeat(256);
const OVER_LIMIT = Buffer.alloc(9 * 1024 * 1024);

let cluster: GatewayCluster;
test.before(async (t) => {
  t.timeout(60_000);
  cluster = await GatewayCluster.start();
});
test.after.always(async () => {
  await cluster?.close();
});

interface Options {
  readonly deadline?: number;
}

/** A call about this path; more bytes than a message may have where they are asked for. */
type Ask = (program: Stranger, path: string | Buffer, options: Options, payload: Buffer) => Promise<unknown>;

interface Row {
  readonly ask: Ask;
  /** What it says of a directory, where it wants a file, or the other way round. */
  readonly directory: readonly [path: string, status: string, code: string];
}

const ofPath = (path: string | Buffer) => ({ path: Buffer.from(path) });
const unary =
  (method: string, more: object = {}): Ask =>
  (program, path, options) =>
    program.call(method, { ...ofPath(path), ...more }, options);
const NOT_DIRECTORY = ['FAILED_PRECONDITION', 'NOT_DIRECTORY'] as const;
const IS_DIRECTORY = ['FAILED_PRECONDITION', 'IS_DIRECTORY'] as const;
const appendStart = (path: string | Buffer) => ({ ...ofPath(path), clientId: Buffer.from('a') });

/** /t has `f` of 3 bytes, the empty `dir`, and `private`, which has `secret` and is closed to all but root. */
const ROWS: Readonly<Record<string, Row>> = {
  Stat: { ask: unary('Stat'), directory: ['/t/f/x', ...NOT_DIRECTORY] },
  List: {
    ask: (program, path, options) => program.answers('List', ofPath(path), options),
    directory: ['/t/f', ...NOT_DIRECTORY],
  },
  Read: {
    ask: (program, path, options) => program.answers('Read', ofPath(path), options),
    directory: ['/t', ...IS_DIRECTORY],
  },
  'Write, atomic': {
    ask: (program, path, options, payload) => program.write(ofPath(path), [payload], options),
    directory: ['/t', ...IS_DIRECTORY],
  },
  'Write, in place': {
    ask: (program, path, options, payload) =>
      program.write({ ...ofPath(path), kind: 'FILES_WRITE_KIND_IN_PLACE' }, [payload], options),
    directory: ['/t', ...IS_DIRECTORY],
  },
  Append: {
    ask: (program, path, options, payload) =>
      program.call('Append', { start: appendStart(path), sequence: 1, payload }, options),
    directory: ['/t', ...IS_DIRECTORY],
  },
  AppendStream: {
    ask: async (program, path, options, payload) => {
      const { error } = await program.append(appendStart(path), [{ sequence: 1, payload }], options);
      if (error !== undefined) throw error;
    },
    directory: ['/t', ...IS_DIRECTORY],
  },
  Mkdir: { ask: unary('Mkdir'), directory: ['/t/f', 'ALREADY_EXISTS', 'EXISTS'] },
  Remove: { ask: unary('Remove'), directory: ['/t', 'FAILED_PRECONDITION', 'NOT_EMPTY'] },
  Rename: {
    ask: unary('Rename', { newPath: Buffer.from('/t/new') }),
    directory: ['/t/f/', ...NOT_DIRECTORY],
  },
};

/** Status and our own code of a failed call. */
async function failure(promise: Promise<unknown>): Promise<readonly string[]> {
  try {
    await promise;
  } catch (thrown) {
    const { code, details, metadata } = thrown as ServiceError;
    const { error, typed } = errorOfStatus({ code, details, metadata: metadata ?? new Metadata() });
    return [status[code] ?? '', typed ? error.code : 'untyped'];
  }
  return ['OK'];
}

/** All there is, with what a half done call could have changed. */
async function everything(admin: Stranger): Promise<unknown> {
  const pages = await admin.answers('List', { ...ofPath('/'), recursive: true, withAttributes: true });
  return pages.map(({ entries }) =>
    (entries as { path: Buffer; attributes: Record<string, unknown> }[]).map(({ path, attributes }) => {
      const { atime: _, ...others } = attributes;
      return [path.toString(), others];
    }),
  );
}

async function eachCall(
  t: ExecutionContext,
  expected: readonly string[],
  call: (ask: Ask, name: string) => Promise<unknown>,
): Promise<void> {
  for (const [name, { ask }] of Object.entries(ROWS))
    t.deepEqual(await failure(call(ask, name)), expected, name);
}

test.serial(
  'every call has a status and a typed detail for whatever is wrong, and nothing is half done',
  async (t) => {
    t.timeout(120_000);
    const tested = new Set(Object.keys(ROWS).map((name) => name.replace(/,.*/, '')));
    t.deepEqual(
      [...tested],
      Object.values(FilesDefinition.methods).map(({ name }) => name),
    );
    const admin = new Stranger(cluster.address, ADMIN);
    const bob = new Stranger(cluster.address, BOB);
    for (const [path, mode] of [
      ['/t', 0o755],
      ['/t/dir', 0o755],
      ['/t/private', 0o700],
    ] as const)
      await admin.call('Mkdir', { ...ofPath(path), mode });
    for (const path of ['/t/f', '/t/private/secret'])
      await admin.write({ ...ofPath(path), mode: 0o644 }, [Buffer.from('abc')]);
    const before = await everything(admin);
    const some = Buffer.from('some');

    await eachCall(t, ['PERMISSION_DENIED', 'PERMISSION_DENIED'], (ask) =>
      ask(bob, '/t/private/secret', {}, some),
    );
    await eachCall(t, ['NOT_FOUND', 'NOT_FOUND'], (ask) => ask(admin, '/t/none/x', {}, some));
    await eachCall(t, ['INVALID_ARGUMENT', 'NAME_TOO_LONG'], (ask) => ask(admin, `/t/${LONG}`, {}, some));
    await eachCall(t, ['INVALID_ARGUMENT', 'NAME_TOO_LONG'], (ask) =>
      ask(admin, `/${'d/'.repeat(2100)}`, {}, some),
    );
    await eachCall(t, ['INVALID_ARGUMENT', 'INVALID_ARGUMENT'], (ask) => ask(admin, 't/f', {}, some));
    for (const [name, { ask, directory }] of Object.entries(ROWS)) {
      const [path, ...wanted] = directory;
      t.deepEqual(await failure(ask(admin, path, {}, some)), wanted, name);
    }
    // No other call has an offset but a Write in place, which fills what lies between with zeros.
    for (const offset of [4, '18446744073709551615']) {
      const read = admin.answers('Read', { ...ofPath('/t/f'), offset });
      t.deepEqual(await failure(read), ['INVALID_ARGUMENT', 'INVALID_ARGUMENT']);
    }
    // A path as long as that is a message over the limit, too: of calls that carry no bytes it is the only one.
    await eachCall(t, ['RESOURCE_EXHAUSTED', 'MESSAGE_TOO_LARGE'], (ask, name) =>
      /^(Write|Append)/.test(name) ? ask(admin, '/t/f', {}, OVER_LIMIT) : ask(admin, OVER_LIMIT, {}, some),
    );
    // The caller's own library says so, and sends nothing.
    await eachCall(t, ['DEADLINE_EXCEEDED', 'untyped'], (ask) =>
      ask(admin, '/t/new', { deadline: Date.now() - 1 }, some),
    );
    t.deepEqual(await everything(admin), before);
  },
);

test.serial('without a gateway, and at a master, every call says so', async (t) => {
  const some = Buffer.from('some');
  const nobody = new Stranger('127.0.0.1:1', ADMIN);
  await eachCall(t, ['UNAVAILABLE', 'untyped'], (ask) => ask(nobody, '/t/f', {}, some));
  const master = new Stranger(cluster.master, ADMIN);
  await eachCall(t, ['UNIMPLEMENTED', 'WRONG_SERVICE'], (ask) => ask(master, '/t/f', {}, some));
});
