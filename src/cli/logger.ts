import { createRequire } from 'node:module';
import { type Logger as Pino, pino } from 'pino';
import type { LogFields, Logger } from '../base/log.ts';
import { MiB } from '../base/units.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What waits for room when standard error is a file on a full disk; lines beyond it are dropped. */
const WAITING_BYTES_MAX = 1 * MiB;

/**
 * Log lines on standard error: JSON for machines, or readable when a person sits before it. A line that cannot be
 * written waits, and is tried again before the next one: whoever logs never hears of it.
 */
export function createLogger(options: { name: string; level: LogLevel; pretty?: boolean }): Logger {
  const pretty = options.pretty ?? process.stderr.isTTY;
  // Synchronous, so that the last line of a process that ends is there.
  const destination = pretty ? prettyLinesTo(2) : linesTo(2);
  return new PinoLogger(
    pino({ name: options.name, level: options.level, timestamp: pino.stdTimeFunctions.isoTime }, destination),
  );
}

function prettyLinesTo(fd: number) {
  // No daemon writes for a person: it is loaded when somebody does.
  const { PinoPretty } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  return PinoPretty({ destination: fd, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
}

function linesTo(fd: number) {
  const destination = pino.destination({ dest: fd, sync: true, maxLength: WAITING_BYTES_MAX });
  // Without a listener the call that logs would throw: a log on a full disk ended the daemon that told of the full disk.
  destination.on('error', () => undefined);
  return destination;
}

class PinoLogger implements Logger {
  readonly #pino: Pino;

  constructor(logger: Pino) {
    this.#pino = logger;
  }

  debug(fields: LogFields, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#pino.error(fields, message);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.#pino.child(fields));
  }
}
