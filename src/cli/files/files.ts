import { setMaxListeners } from 'node:events';
import type { Env } from '../../base/env.ts';
import { GfsError, messageOf } from '../../base/errors.ts';
import { MiB, SECOND_MS } from '../../base/units.ts';
import type { Call, GfsClient } from '../../client/api.ts';
import { type CommonKeys, ownIdentity, realWorld, withClient } from '../commands/common.ts';
import { EXIT_FAILURE } from '../program.ts';
import { firstSignal } from './first-signal.ts';
import { endsAll, named } from './named-error.ts';
import { OutputClosed, StandardOutput } from './standard-streams.ts';

/** As a mount: a cluster that is being mended answers again. */
const IO_TIMEOUT_MS = 60 * SECOND_MS;
/** Little is read twice. */
const CACHE_BYTES = 32 * MiB;
/** What is under way has so long to put things in order once the program is told to end, and the session as long again. */
const ORDERLY_END_MS = 2 * SECOND_MS;

/** What a command works with that is about files. */
export class Files {
  readonly env: Env;
  readonly client: GfsClient;
  readonly out: StandardOutput;
  readonly #caller = ownIdentity();
  readonly #ending: AbortController;
  #fatal: unknown;
  /** Called before a line is printed on standard error. */
  onReport: () => void = () => undefined;

  constructor(env: Env, client: GfsClient, ending: AbortController) {
    this.env = env;
    this.client = client;
    this.out = new StandardOutput(env);
    this.#ending = ending;
    // As many calls listen as are under way.
    setMaxListeners(0, ending.signal);
  }

  /** Ends with the command, whatever ends it. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Calls that are given up when the command is to end. */
  get call(): Call {
    return { caller: this.#caller, signal: this.signal };
  }

  /** Calls that put things in order then. */
  get lastCall(): Call {
    return { caller: this.#caller, deadlineMs: this.env.monotonicMs() + ORDERLY_END_MS };
  }

  /**
   * Does something about one path of many. When it fails that is told at once, the command goes on and ends with 1; unless all
   * the rest would fail too. False: it failed.
   */
  async attempt(path: Uint8Array, work: () => Promise<void>): Promise<boolean> {
    try {
      this.signal.throwIfAborted();
      await work();
      return true;
    } catch (error) {
      this.failed(path, error);
      return false;
    }
  }

  failed(path: Uint8Array, cause: unknown): void {
    const error = named(path, cause);
    if (this.signal.aborted) return;
    if (!(error instanceof GfsError) || endsAll(error)) {
      this.#fatal ??= error;
      this.end();
      return;
    }
    process.exitCode = EXIT_FAILURE;
    this.warn(messageOf(error));
  }

  /** Says something that the command goes on after. */
  warn(text: string): void {
    this.onReport();
    process.stderr.write(`gfs: ${text}\n`);
  }

  /** Nothing more is begun, and what waits gives up. */
  end(): void {
    this.#ending.abort(new GfsError('CANCELLED', 'the command ends'));
  }

  /** Throws what ended the command before its time. */
  check(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
  }
}

/**
 * Runs a command with a client of its own. Ctrl-C, SIGTERM and SIGHUP end it in order: nothing half done stays, and then the
 * process ends by that signal.
 */
export async function withFiles(
  { master }: CommonKeys,
  program: string,
  work: (files: Files) => Promise<void>,
): Promise<void> {
  const world = realWorld();
  const ending = new AbortController();
  const working = withClient(
    world,
    master,
    program,
    (client) => runToEnd(new Files(world.env, client, ending), work),
    { ioTimeoutMs: IO_TIMEOUT_MS, cacheBytes: CACHE_BYTES, signal: ending.signal },
  );
  const ended = working.then(
    () => undefined,
    (error: unknown) => {
      // `gfs ls | head`: nobody wants the rest.
      if (!(error instanceof OutputClosed)) throw error;
    },
  );
  using stop = firstSignal();
  const signal = await Promise.race([ended, stop.signal]);
  if (signal === undefined) return;
  ending.abort(new GfsError('CANCELLED', `ended by ${signal}`));
  await Promise.race([ended.catch(() => undefined), world.env.sleep(2 * ORDERLY_END_MS)]);
  stop[Symbol.dispose]();
  process.kill(process.pid, signal);
}

async function runToEnd(files: Files, work: (files: Files) => Promise<void>): Promise<void> {
  try {
    await work(files);
    files.check();
    await files.out.flush();
  } catch (error) {
    // What is still under way has nobody who waits for it; and the first failure made the later ones.
    files.end();
    if (!(error instanceof OutputClosed)) await files.out.flush();
    files.check();
    throw error;
  }
}
