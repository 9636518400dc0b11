import { createRequire } from 'node:module';
import { type Logger as Pino, pino } from 'pino';
import { GfsError } from '../base/errors.ts';
import { type Component, LOG_LEVELS, type LogFields, type Logger, type LogLevel } from '../base/log.ts';
import { RecentLines } from '../base/recent-lines.ts';
import { MiB } from '../base/units.ts';

/** What waits for room when standard error is a file on a full disk; lines beyond it are dropped. */
const WAITING_BYTES_MAX = 1 * MiB;
const STANDARD_ERROR = 2;

export interface LogOptions {
  readonly name: string;
  readonly level: LogLevel;
  /** Default: whether a person sits before it. */
  readonly pretty?: boolean | undefined;
  /** Where lines go. Default: standard error. */
  readonly fd?: number | undefined;
  /** Whose levels can be set, beside those whose lines have come. */
  readonly components?: readonly Component[] | undefined;
}

/**
 * The log of a process: lines on standard error, JSON for machines, or readable when a person sits before it, each part of the
 * program with a level of its own. Lines at info and above are kept in memory for a while, shown or not.
 */
export class ProcessLog {
  readonly recent = new RecentLines();
  /** Of the process as a whole. */
  readonly logger: Logger;
  readonly #lines: Lines;
  readonly #pino: Pino;
  readonly #loggers = new Map<Component, PartLogger>();
  #level: LogLevel;

  constructor({
    name,
    level,
    pretty = process.stderr.isTTY,
    fd = STANDARD_ERROR,
    components = [],
  }: LogOptions) {
    this.#level = level;
    this.#lines = new Lines(pretty ? prettyLinesTo(fd) : linesTo(fd), this.recent);
    const format = { timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: textOf } };
    this.#pino = pino({ name, level: 'debug', ...format }, this.#lines);
    for (const component of components) this.#of(component);
    this.logger = this.#of('daemon');
  }

  /** By component. */
  get levels(): ReadonlyMap<Component, LogLevel> {
    return new Map([...this.#loggers].map(([component, { level }]) => [component, level]));
  }

  /** Absent: of all. */
  setLevel(level: LogLevel, component?: Component): void {
    if (component !== undefined) {
      this.#of(component).level = level;
      return;
    }
    this.#level = level;
    for (const logger of this.#loggers.values()) logger.level = level;
  }

  readonly #of = (component: Component): PartLogger => {
    let logger = this.#loggers.get(component);
    if (logger === undefined) {
      logger = new PartLogger(this.#pino.child({ component }), this.#lines, this.#level, this.#of);
      this.#loggers.set(component, logger);
    }
    return logger;
  };
}

/** Log lines on standard error, of a process that nobody asks for more. */
export function createLogger(options: LogOptions): Logger {
  return new ProcessLog(options).logger;
}

class PartLogger implements Logger {
  level: LogLevel;
  readonly #pino: Pino;
  readonly #lines: Lines;
  readonly #of: (component: Component) => Logger;

  constructor(logger: Pino, lines: Lines, level: LogLevel, of: (component: Component) => Logger) {
    this.#pino = logger;
    this.#lines = lines;
    this.level = level;
    this.#of = of;
  }

  get debugs(): boolean {
    return this.level === 'debug';
  }

  debug(fields: LogFields, message: string): void {
    if (this.debugs) this.#write('debug', fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#write('error', fields, message);
  }

  of(component: Component): Logger {
    return this.#of(component);
  }

  #write(level: LogLevel, fields: LogFields, message: string): void {
    this.#lines.next(level, isShown(level, this.level));
    this.#pino[level](fields, message);
  }
}

/** Whether lines of this level are among those that are wanted from another one on. */
export function isShown(level: LogLevel, from: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(from);
}

/** Where lines go when they are made: into memory, and on where they are shown. */
class Lines {
  readonly #shown: { write(text: string): unknown };
  readonly #recent: RecentLines;
  #level: LogLevel = 'info';
  #isShown = true;

  constructor(shown: { write(text: string): unknown }, recent: RecentLines) {
    this.#shown = shown;
    this.#recent = recent;
  }

  /** Of the line that is written now. */
  next(level: LogLevel, isShown: boolean): void {
    this.#level = level;
    this.#isShown = isShown;
  }

  /** A line that cannot be written waits, and is tried again before the next one: whoever logs never hears of it. */
  write(text: string): void {
    this.#recent.add(this.#level, text);
    if (this.#isShown) this.#shown.write(text);
  }
}

function prettyLinesTo(fd: number) {
  // No daemon writes for a person: it is loaded when somebody does.
  const { PinoPretty } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  const shown = { ignore: 'pid,hostname,component', messageFormat: '{component}: {msg}', singleLine: true };
  return PinoPretty({ destination: fd, sync: true, translateTime: 'SYS:HH:MM:ss.l', ...shown });
}

function linesTo(fd: number) {
  // Synchronous, so that the last line of a process that ends is there.
  const destination = pino.destination({ dest: fd, sync: true, maxLength: WAITING_BYTES_MAX });
  // Without a listener the call that logs would throw: a log on a full disk ended the daemon that told of the full disk.
  destination.on('error', () => undefined);
  return destination;
}

/** Of a bug the stack, too. */
function textOf(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  return error instanceof GfsError ? error.message : (error.stack ?? error.message);
}
