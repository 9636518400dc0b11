import type { Command } from 'commander';
import { codeOf, messageOf } from '../base/errors.ts';
import { COMPONENTS_OF, type DaemonName, LOG_LEVELS, type LogLevel } from '../base/log.ts';
import { NodeEnv } from '../base/node-env.ts';
import type { ServiceBinding } from '../rpc/network.ts';
import { ProcessLog } from './logger.ts';
import { logsService } from './logs-service.ts';
import { addKey, EXIT_FAILURE, parseChoice } from './program.ts';

/** What a daemon tells the process that started it, over the IPC channel, once it serves. */
export type ReadyMessage = { readonly ready: Readonly<Record<string, unknown>> };
export type FailedMessage = { readonly failed: string };

export interface Running {
  /** Told to the starter, and logged. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Resolves when there is nothing left to do (a mount was unmounted): then it ends as if it had been asked to. */
  readonly ended?: Promise<void>;
  close(): Promise<void>;
}

export function addLogKeys(command: Command): void {
  addKey<LogLevel>(command, '--log-level <level>', `least important lines shown: ${LOG_LEVELS.join(', ')}`, {
    parse: parseChoice(LOG_LEVELS),
    default: 'info',
  });
}

/**
 * Runs a daemon until SIGTERM or SIGINT (closes it and ends with 0; a second signal ends at once) or until it cannot go
 * on (one line, exit code 1). `start` gets a real `Env`, the hook for what it cannot survive, and what
 * every daemon serves.
 */
export async function runDaemon(
  name: DaemonName,
  logLevel: LogLevel,
  start: (
    env: NodeEnv,
    onFatal: (error: unknown) => void,
    services: readonly ServiceBinding[],
  ) => Promise<Running>,
): Promise<void> {
  const processLog = new ProcessLog({ name, level: logLevel, components: COMPONENTS_OF[name] });
  const log = processLog.logger;
  const env = new NodeEnv(log);
  const onFatal = (error: unknown) => {
    log.error(
      { code: codeOf(error), error: error instanceof Error ? error.stack : error },
      'ends: cannot go on',
    );
    fail(name, error);
  };
  process.on('uncaughtException', onFatal);
  process.on('unhandledRejection', onFatal);

  let running: Running;
  try {
    running = await start(env, onFatal, [logsService(name, processLog)]);
  } catch (error) {
    return fail(name, error);
  }
  log.info(running.ready, 'serving');
  tellStarter({ ready: running.ready });

  let stopping = false;
  const stop = (why: string) => {
    if (stopping) process.exit(EXIT_FAILURE);
    stopping = true;
    log.info({ why }, 'stopping');
    running.close().then(() => {
      log.info({}, 'stopped');
      process.exit(0);
    }, onFatal);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  running.ended?.then(() => {
    if (!stopping) stop('nothing left to do');
  }, onFatal);
}

/** One line for people, the same for the starter, exit code 1. */
function fail(name: string, error: unknown): never {
  const text = messageOf(error).replace(/\s*\n\s*/g, ' ');
  tellStarter({ failed: text });
  process.stderr.write(`${name}: ${text}\n`);
  process.exit(EXIT_FAILURE);
}

function tellStarter(message: ReadyMessage | FailedMessage): void {
  if (!process.connected) return;
  process.send?.(message, undefined, undefined, () => undefined);
  // The starter may end before us, and nobody else listens.
  process.channel?.unref();
}
