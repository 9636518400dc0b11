// One client of a measurement, in a process of its own. It does what its parent orders; when the parent was killed, the first of
// them removes what all have made.
import { setMaxListeners } from 'node:events';
import { GfsError, messageOf } from '../../base/errors.ts';
import { realWorld } from '../commands/common.ts';
import { errnoNameOf } from '../files/named-error.ts';
import type { Ground } from './ground.ts';
import { measure } from './measure.ts';
import { ReceivedStream } from './received-stream.ts';
import { openGround, removeSite, type Site } from './site.ts';
import type { Answer, Order, Task } from './worker-messages.ts';
import { type Work, Workloads } from './workloads.ts';

type Ready = Work | ReceivedStream;

const world = realWorld();
const ending = new AbortController();
const parentPid = process.ppid;
const grounds: Ground[] = [];
const workloads: Workloads[] = [];
let sites: readonly Site[] = [];
let index = 0;
let ready: Ready | undefined;
/** What is under way. */
let acting: Promise<void> = Promise.resolve();

// As many calls listen as are under way.
setMaxListeners(0, ending.signal);
// Ctrl-C reaches all; the parent says what becomes of it.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.on('disconnect', () => void endAlone());
process.on('message', (order: Order) => {
  if (order.kind === 'end') void end();
  else acting = answer(order);
});

async function answer(task: Task): Promise<void> {
  const reply = await act(task).catch((error: unknown): Answer => {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    return { kind: 'failed', code: fault.code, message: fault.message };
  });
  // A parent that has gone is told nothing.
  process.send?.(reply, undefined, undefined, () => undefined);
}

async function act(task: Task): Promise<Answer> {
  switch (task.kind) {
    case 'adopt':
      ({ index, sites } = task);
      return { kind: 'ready' };
    case 'begin':
      await begin(task);
      return { kind: 'ready' };
    case 'prepare':
      ready = await workloads[task.site]?.prepare(task.figure, task.step);
      return { kind: 'ready' };
    case 'prepareStream':
      ready = await ReceivedStream.open(task.host);
      return { kind: 'ready' };
    case 'go': {
      if (ready === undefined) throw new Error('nothing was prepared');
      const { timeMs } = task;
      if (ready instanceof ReceivedStream) {
        return { kind: 'done', done: await ready.receive(world.env, timeMs, ending.signal) };
      }
      return { kind: 'done', done: await measure(world.env, ready, { timeMs, check }) };
    }
  }
}

/** Undefined: a bug. */
function faultOf(error: unknown): GfsError | undefined {
  if (error instanceof GfsError) return error;
  return errnoNameOf(error) === undefined ? undefined : new GfsError('IO_ERROR', messageOf(error));
}

async function begin({ sizeBytes, fileCount }: Task & { kind: 'begin' }): Promise<void> {
  for (const site of sites) {
    const ground = await openGround(world, site, ending.signal);
    grounds.push(ground);
    workloads.push(await Workloads.start({ env: world.env, ground, index, sizeBytes, fileCount, check }));
  }
}

/** A client that calls the system all the time hears of nothing else: so it looks whether its parent is still there. */
function check(): void {
  ending.signal.throwIfAborted();
  if (process.ppid !== parentPid) throw new GfsError('CANCELLED', 'the parent has gone');
}

async function end(): Promise<void> {
  ending.abort(new GfsError('CANCELLED', 'the measurement ends'));
  await acting;
  if (ready instanceof ReceivedStream) ready.close();
  for (const ground of grounds) await ground.close();
  process.exit(0);
}

/** Nobody else is left who would remove anything. */
async function endAlone(): Promise<void> {
  ending.abort(new GfsError('CANCELLED', 'the parent has gone'));
  await acting;
  if (index === 0) {
    for (const site of sites) {
      await removeSite(world, site).catch((error: unknown) => {
        process.stderr.write(`gfs: this is left: ${messageOf(error)}\n`);
      });
    }
  }
  await end();
}
