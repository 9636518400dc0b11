// One suite for every transport: whatever `NodeNetwork` speaks, callers and handlers see the same.
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { type Bytes, joined, lengthOf } from '../../src/base/bytes.ts';
import { type ErrorCode, GfsError } from '../../src/base/errors.ts';
import type { LogFields } from '../../src/base/log.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Method, ServerContext } from '../../src/rpc/network.ts';
import { CASES, type Pair, pair, type Transport } from './harness.ts';

const { status, lookup, heartbeat, openSession } = MasterDefinition.methods;
const { read, push, mutate } = ChunkserverDefinition.methods;
const STATUS = 'gfs.v1.Master/Status';
const READ = 'gfs.v1.Chunkserver/Read';
const PUSH = 'gfs.v1.Chunkserver/Push';
const MUTATE = 'gfs.v1.Chunkserver/Mutate';
const HEARTBEAT = 'gfs.v1.Master/Heartbeat';
const SIZES = [0, 1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, MiB, 4 * MiB];

/** Bytes that differ at every offset of a block, in buffers of uneven lengths. */
function pattern(size: number, seed = 1): Bytes {
  const whole = Buffer.allocUnsafe(size);
  for (let index = 0; index < size; index += 1) whole[index] = (index * 31 + (index >> 8) * 7 + seed) & 0xff;
  const parts: Buffer[] = [];
  for (let start = 0, step = 1; start < size; start += step, step = step * 3 + 1) {
    parts.push(whole.subarray(start, start + step));
  }
  return parts;
}

function same(left: Bytes, right: Bytes): boolean {
  return Buffer.compare(joined(left), joined(right)) === 0;
}

async function failureOf(work: Promise<unknown>): Promise<GfsError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof GfsError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode> {
  return (await failureOf(work)).code;
}

/** What the server's log says of calls that have ended. */
function callLines({ log }: Pair): LogFields[] {
  return log.lines.filter(({ message }) => message === 'a call ended').map(({ fields }) => fields);
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 500) throw new Error('it never came true');
    await delay(10);
  }
}

/** Registers the suite's tests for one transport. */
export function compliance(transport: Transport): void {
  for (const { fullName, method, request, response } of CASES) {
    test.serial(`${transport}: ${fullName} carries every field both ways`, async (t) => {
      await using p = await pair(transport);
      const typed = method as unknown as Method<unknown, unknown>;
      if (typed.requestStream) {
        const stream = p.connection.stream(typed);
        const count = 3;
        for (let sent = 0; sent < count; sent += 1) await stream.send(request);
        stream.end();
        const answers: unknown[] = [];
        for await (const { message } of stream.answers) answers.push(message);
        t.deepEqual(answers, typed.responseStream ? [response, response, response] : [response]);
        t.deepEqual(
          p.services.received.map((one) => one.request),
          [request, request, request],
        );
      } else {
        const { message } = await p.connection.call(typed, request);
        t.deepEqual(message, response);
        t.deepEqual(
          p.services.received.map((one) => one.request),
          [request],
        );
      }
      t.true(p.services.received.every((one) => one.method === fullName));
    });
  }

  test.serial(`${transport}: payload of every size arrives as it was, beside an empty field`, async (t) => {
    await using p = await pair(transport);
    p.services.onUnary(READ, async ({ message }) => ({
      message: read.responseType.create(),
      payload: pattern((message as { length: number }).length, 5),
    }));
    for (const size of SIZES) {
      const sent = pattern(size);
      let arrived: Bytes = [];
      let inField = -1;
      p.services.onUnary(MUTATE, async ({ message, payload }) => {
        arrived = payload;
        inField = (message as { payload: Buffer }).payload.length;
        return { message: mutate.responseType.create() };
      });
      await p.connection.call(mutate, mutate.requestType.create(), { payload: sent });
      t.true(same(arrived, sent), `request of ${size}`);
      t.is(inField, 0);
      const answer = await p.connection.call(read, read.requestType.create({ length: size }));
      t.true(same(answer.payload, pattern(size, 5)), `answer of ${size}`);
      t.is(answer.message.payload.length, 0);
    }
  });

  test.serial(`${transport}: payload in the message's field is as good as beside it`, async (t) => {
    await using p = await pair(transport);
    const data = Buffer.from('data');
    p.services.onUnary(MUTATE, async ({ payload }) => ({
      message: mutate.responseType.create({ chunkLength: lengthOf(payload) }),
    }));
    const { message } = await p.connection.call(mutate, mutate.requestType.create({ payload: data }));
    t.is(message.chunkLength, 4);
  });

  test.serial(`${transport}: many calls at once each get their own answer`, async (t) => {
    await using p = await pair(transport);
    p.services.onUnary(READ, async ({ message }) => {
      const { chunk } = message as { chunk: number };
      if (chunk % 3 === 0) await delay(chunk % 7);
      return {
        message: read.responseType.create({ chunkLength: chunk }),
        payload: pattern(chunk * 10, chunk),
      };
    });
    await Promise.all(
      Array.from({ length: 1000 }, async (_, chunk) => {
        const answer = await p.connection.call(read, read.requestType.create({ chunk }));
        t.is(answer.message.chunkLength, chunk);
        t.true(same(answer.payload, pattern(chunk * 10, chunk)));
      }),
    );
  });

  test.serial(`${transport}: an error arrives with code, message and fields`, async (t) => {
    await using p = await pair(transport);
    p.services.onUnary(STATUS, async () => {
      throw new GfsError('NO_SUCH_CHUNK', 'chunk 99 ist wëg', { fields: { chunk: '99', why: 'größe' } });
    });
    const error = await failureOf(p.connection.call(status, status.requestType.create()));
    t.is(error.code, 'NO_SUCH_CHUNK');
    t.is(error.message, 'chunk 99 ist wëg');
    t.deepEqual(error.fields, { chunk: '99', why: 'größe' });
  });

  test.serial(`${transport}: an error of a stream arrives after what was sent before it`, async (t) => {
    await using p = await pair(transport);
    p.services.onStream(HEARTBEAT, async (stream) => {
      await stream.send(heartbeat.responseType.create({ sequence: 1 }) as never);
      await delay(20);
      throw new GfsError('NO_SUCH_SESSION', 'who?', { fields: { server: '3' } });
    });
    const stream = p.connection.stream(heartbeat);
    const answers = stream.answers[Symbol.asyncIterator]();
    t.is((await answers.next()).value?.message.sequence, 1);
    const error = await failureOf(answers.next());
    t.is(error.code, 'NO_SUCH_SESSION');
    t.deepEqual(error.fields, { server: '3' });
    await t.throwsAsync(stream.send(heartbeat.requestType.create()));
  });

  test.serial(
    `${transport}: what is thrown by mistake is INTERNAL, and logged with the request's id`,
    async (t) => {
      await using p = await pair(transport);
      p.services.onUnary(STATUS, async () => {
        throw new TypeError('undefined is not a function');
      });
      const call = p.connection.call(status, status.requestType.create(), { requestId: 'req-77' });
      t.is(await codeOf(call), 'INTERNAL');
      const line = p.log.lines.find(({ level }) => level === 'error');
      t.is(line?.fields.requestId, 'req-77');
    },
  );

  test.serial(
    `${transport}: a request's id and peer are known to the handler, the id made up when absent`,
    async (t) => {
      await using p = await pair(transport);
      await p.connection.call(status, status.requestType.create(), { requestId: 'given-1' });
      await p.connection.call(status, status.requestType.create());
      const [given, made] = p.services.received.map(({ context }) => context);
      t.is(given?.requestId, 'given-1');
      t.regex(made?.requestId ?? '', /^[0-9a-z-]{4,20}$/);
      t.regex(given?.peer ?? '', /^127\.0\.0\.1:\d+$/);
      const [served] = callLines(p);
      t.is(served?.requestId, 'given-1');
      t.is(served?.code, 'OK');
    },
  );

  test.serial(`${transport}: cancelling a call ends it at once and reaches the handler`, async (t) => {
    await using p = await pair(transport);
    let context: ServerContext | undefined;
    p.services.onUnary(STATUS, async (_, given) => {
      context = given;
      await new Promise((resolve) => given.signal.addEventListener('abort', resolve));
      throw new GfsError('CANCELLED', 'as asked');
    });
    const abort = new AbortController();
    const call = codeOf(p.connection.call(status, status.requestType.create(), { signal: abort.signal }));
    await until(() => context !== undefined);
    abort.abort();
    t.is(await call, 'CANCELLED');
    await until(() => context?.signal.aborted === true);
    t.is(
      await codeOf(p.connection.call(status, status.requestType.create(), { signal: abort.signal })),
      'CANCELLED',
    );
  });

  test.serial(`${transport}: cancelling a stream reaches the handler`, async (t) => {
    await using p = await pair(transport);
    let ended: unknown;
    p.services.onStream(HEARTBEAT, async (stream, context) => {
      try {
        await stream.send(heartbeat.responseType.create({ sequence: 1 }) as never);
        for await (const _ of stream.requests);
        ended = 'clean';
      } catch (error) {
        ended = context.signal.aborted ? error : 'signal is silent';
      }
    });
    const stream = p.connection.stream(heartbeat);
    const answers = stream.answers[Symbol.asyncIterator]();
    await answers.next();
    stream.cancel();
    t.is(await codeOf(answers.next()), 'CANCELLED');
    await until(() => ended !== undefined);
    t.true(ended instanceof GfsError, String(ended));
  });

  test.serial(`${transport}: a deadline ends the call, and the handler knows it`, async (t) => {
    await using p = await pair(transport);
    let leftMs = 0;
    let aborted = false;
    p.services.onUnary(STATUS, async (_, context) => {
      leftMs = (context.deadlineMs ?? 0) - p.env.monotonicMs();
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      aborted = true;
      return { message: status.responseType.create() };
    });
    const startMs = p.env.monotonicMs();
    const deadlineMs = startMs + 300;
    t.is(
      await codeOf(p.connection.call(status, status.requestType.create(), { deadlineMs })),
      'DEADLINE_EXCEEDED',
    );
    const tookMs = p.env.monotonicMs() - startMs;
    t.true(tookMs >= 295 && tookMs < 1500, `${tookMs} ms`);
    t.true(leftMs > 0 && leftMs <= 360, `${leftMs} ms left`);
    await until(() => aborted);
    t.is(
      await codeOf(p.connection.call(status, status.requestType.create(), { deadlineMs: startMs })),
      'DEADLINE_EXCEEDED',
    );
    const free = p.connection.call(lookup, lookup.requestType.create());
    await free;
    t.is(p.services.received[0]?.context.deadlineMs, undefined);
  });

  test.serial(
    `${transport}: a push arrives whole and in order, and its single answer comes back`,
    async (t) => {
      await using p = await pair(transport);
      const pieces = [64 * KiB, 1, 256 * KiB, 256 * KiB + 1, 1 * MiB, 0, 300 * KiB].map((size, n) =>
        pattern(size, n),
      );
      let arrived = true;
      let count = 0;
      p.services.onRequestStream(PUSH, async (requests) => {
        for await (const { payload } of requests) {
          arrived &&= same(payload, pieces[count] ?? []);
          count += 1;
        }
        return { message: push.responseType.create() };
      });
      const stream = p.connection.stream(push);
      for (const piece of pieces) await stream.send(push.requestType.create(), piece);
      stream.end();
      await stream.finished();
      t.true(arrived);
      t.is(count, pieces.length);
    },
  );

  test.serial(`${transport}: a sender's buffers are free once send has settled`, async (t) => {
    await using p = await pair(transport);
    const sums: number[] = [];
    p.services.onRequestStream(PUSH, async (requests) => {
      for await (const { payload } of requests) {
        await delay(5);
        sums.push(...new Set(joined(payload)));
      }
      return { message: push.responseType.create() };
    });
    const stream = p.connection.stream(push);
    const buffer = Buffer.alloc(256 * KiB);
    for (let round = 0; round < 20; round += 1) {
      buffer.fill(round);
      await stream.send(push.requestType.create(), [buffer]);
    }
    stream.end();
    await stream.finished();
    t.deepEqual(
      sums,
      Array.from({ length: 20 }, (_, round) => round),
    );
  });

  test.serial(`${transport}: a slow consumer holds its sender up, and nobody else`, async (t) => {
    await using p = await pair(transport);
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    p.services.onRequestStream(PUSH, async (requests) => {
      let bytes = 0;
      for await (const { payload } of requests) {
        await gate;
        bytes += lengthOf(payload);
      }
      t.is(bytes, 32 * MiB);
      return { message: push.responseType.create() };
    });
    const stream = p.connection.stream(push);
    let sent = 0;
    const pushing = (async () => {
      for (; sent < 128; sent += 1) await stream.send(push.requestType.create(), pattern(256 * KiB));
      stream.end();
      await stream.finished();
    })();
    await delay(300);
    t.true(sent < 64, `${sent} pieces of 256 KiB are somewhere in memory`);
    // The same connection goes on with everything else.
    for (let round = 0; round < 20; round += 1) {
      await p.connection.call(openSession, openSession.requestType.create({ host: 'h' }));
    }
    release();
    await pushing;
  });

  test.serial(
    `${transport}: a client that reads its answers slowly holds up the handler, and nobody else`,
    async (t) => {
      await using p = await pair(transport);
      let sent = 0;
      p.services.onStream(HEARTBEAT, async (stream) => {
        const bulk = heartbeat.responseType.create({
          extensions: Array.from({ length: 2000 }, (_, chunk) => ({ chunk, version: 1, durationMs: 1 })),
        });
        for (; sent < 400; sent += 1) await stream.send(bulk as never);
      });
      const stream = p.connection.stream(heartbeat);
      await delay(300);
      t.true(sent < 200, `${sent} answers are somewhere in memory`);
      await p.connection.call(openSession, openSession.requestType.create());
      let count = 0;
      for await (const { message } of stream.answers) count += message.extensions.length === 2000 ? 1 : 0;
      t.is(count, 400);
    },
  );

  test.serial(`${transport}: both directions of a stream are independent`, async (t) => {
    await using p = await pair(transport);
    const stream = p.connection.stream(heartbeat);
    const answers = stream.answers[Symbol.asyncIterator]();
    for (let sequence = 0; sequence < 50; sequence += 1) {
      await stream.send(heartbeat.requestType.create({ sequence }));
      t.is((await answers.next()).done, false);
    }
    stream.end();
    t.is((await answers.next()).done, true);
    t.is(p.services.received.length, 50);
  });

  test.serial(`${transport}: the caller may stop listening`, async (t) => {
    await using p = await pair(transport);
    let ended = false;
    p.services.onStream(HEARTBEAT, async (stream, context) => {
      context.signal.addEventListener('abort', () => {
        ended = true;
      });
      for (;;) await stream.send(heartbeat.responseType.create() as never);
    });
    for await (const _ of p.connection.stream(heartbeat).answers) break;
    await until(() => ended);
    t.pass();
  });

  test.serial(
    `${transport}: a lost connection fails calls in flight, tells onLost, and the next call dials anew`,
    async (t) => {
      await using p = await pair(transport);
      let started = 0;
      let handlerAborted = false;
      p.services.onUnary(STATUS, async (_, context) => {
        started += 1;
        context.signal.addEventListener('abort', () => {
          handlerAborted = true;
        });
        await delay(60_000, undefined, { signal: context.signal });
        return { message: status.responseType.create() };
      });
      const { connection, wire } = await p.throughWire();
      const lost: string[] = [];
      connection.onLost((error) => lost.push(error.message));
      const call = failureOf(connection.call(status, status.requestType.create()));
      const stream = connection.stream(heartbeat);
      const answer = failureOf(stream.answers[Symbol.asyncIterator]().next());
      await until(() => started === 1);
      wire.cut();
      const error = await call;
      t.is(error.code, 'UNAVAILABLE');
      t.true(error.message.includes(connection.address), error.message);
      t.is((await answer).code, 'UNAVAILABLE');
      await until(() => handlerAborted);
      t.is(lost.length, 1);
      await connection.call(lookup, lookup.requestType.create(), { deadlineMs: p.env.monotonicMs() + 5000 });
    },
  );

  test.serial(
    `${transport}: nobody at the address: UNAVAILABLE in words, and the next call tries again`,
    async (t) => {
      await using p = await pair(transport);
      const { connection, wire } = await p.throughWire();
      await wire.close();
      const error = await failureOf(connection.call(status, status.requestType.create()));
      t.is(error.code, 'UNAVAILABLE');
      t.is(error.message, `cannot reach ${connection.address}: connection refused`);
      await wire.reopen();
      await connection.call(status, status.requestType.create(), { deadlineMs: p.env.monotonicMs() + 5000 });
    },
  );

  test.serial(`${transport}: a server that isn't the one asked for says so`, async (t) => {
    await using p = await pair(transport, { services: [ChunkserverDefinition] });
    const error = await failureOf(p.connection.call(status, status.requestType.create()));
    t.is(error.code, 'WRONG_SERVICE');
    t.is(error.message, `what answers at ${p.listener.address} is not a gfs master`);
  });

  test.serial(
    `${transport}: closing a server lets calls finish, ends endless streams, refuses new ones`,
    async (t) => {
      await using p = await pair(transport);
      let started = false;
      p.services.onUnary(READ, async () => {
        started = true;
        await delay(200);
        return { message: read.responseType.create({ chunkLength: 5 }), payload: pattern(MiB) };
      });
      const stream = p.connection.stream(heartbeat);
      await stream.send(heartbeat.requestType.create());
      const answers = stream.answers[Symbol.asyncIterator]();
      await answers.next();
      const call = p.connection.call(read, read.requestType.create());
      await until(() => started);
      const startMs = p.env.monotonicMs();
      const closing = p.listener.close();
      t.is(await codeOf(answers.next()), 'UNAVAILABLE');
      const answer = await call;
      t.is(answer.message.chunkLength, 5);
      t.true(same(answer.payload, pattern(MiB)));
      await closing;
      t.true(p.env.monotonicMs() - startMs < 900);
      t.is(await codeOf(p.connection.call(status, status.requestType.create())), 'UNAVAILABLE');
    },
  );

  test.serial(`${transport}: closing a connection lets its calls finish and refuses new ones`, async (t) => {
    await using p = await pair(transport);
    p.services.onUnary(READ, async () => {
      await delay(100);
      return { message: read.responseType.create({ chunkLength: 5 }) };
    });
    const call = p.connection.call(read, read.requestType.create());
    await delay(30);
    const closing = p.connection.close();
    t.is((await call).message.chunkLength, 5);
    await closing;
    t.is(await codeOf(p.connection.call(read, read.requestType.create())), 'CANCELLED');
  });

  test.serial(
    `${transport}: a message above the limit is refused on either side, and the connection lives`,
    async (t) => {
      await using p = await pair(transport);
      const huge = pattern(8 * MiB + 1);
      t.is(
        await codeOf(p.connection.call(mutate, mutate.requestType.create(), { payload: huge })),
        'MESSAGE_TOO_LARGE',
      );
      p.services.onUnary(READ, async () => ({ message: read.responseType.create(), payload: huge }));
      t.is(await codeOf(p.connection.call(read, read.requestType.create())), 'MESSAGE_TOO_LARGE');
      await p.connection.call(lookup, lookup.requestType.create());
    },
  );

  test.serial(`${transport}: one client with many slow calls does not hold up another`, async (t) => {
    await using p = await pair(transport);
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    p.services.onUnary(STATUS, async () => {
      await gate;
      return { message: status.responseType.create() };
    });
    const slow = Array.from({ length: 1000 }, () => p.connection.call(status, status.requestType.create()));
    const other = p.connect();
    for (let round = 0; round < 50; round += 1) await other.call(lookup, lookup.requestType.create());
    release();
    t.is((await Promise.all(slow)).length, 1000);
  });

  // grpc-js keeps no line of its own: its requests leave at once, and the server's transport bounds them.
  if (transport === 'grpc') return;
  test.serial(
    `${transport}: a request that is cancelled while it waits in line is never carried out`,
    async (t) => {
      await using p = await pair(transport, { limits: { callsInFlightMax: 4 } });
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      let begun = 0;
      p.services.onUnary(STATUS, async () => {
        begun += 1;
        await gate;
        return { message: status.responseType.create() };
      });
      const abort = new AbortController();
      const running = Array.from({ length: 4 }, () => p.connection.call(status, status.requestType.create()));
      const waiting = Array.from({ length: 4 }, () =>
        codeOf(p.connection.call(status, status.requestType.create(), { signal: abort.signal })),
      );
      await until(() => begun === 4);
      abort.abort();
      t.deepEqual(await Promise.all(waiting), ['CANCELLED', 'CANCELLED', 'CANCELLED', 'CANCELLED']);
      release();
      await Promise.all(running);
      await delay(30);
      t.is(begun, 4);
    },
  );
}
