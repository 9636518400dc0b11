import type { Event } from '../../rpc/messages.ts';

export interface TimedEvent {
  /** Whose it is, for people. */
  readonly daemon: string;
  readonly event: Event;
}

const LEVEL_WIDTH = 5;
/** "server 12". */
const DAEMON_WIDTH = 9;
/** "sessions". */
const COMPONENT_WIDTH = 8;
/** Bytes that a terminal would not show, or take for orders, and JSON leaves as they are. */
const UNSEEN = /[\p{Cc}\u2028\u2029]/gu;

/** Events of several daemons on standard output, in the order of their times. */
export class EventLines {
  readonly #json: boolean;
  /** Of the line before. */
  #day: string;

  constructor({ json, nowMs }: { json: boolean; nowMs: number }) {
    this.#json = json;
    this.#day = dayOf(nowMs);
  }

  /** The last ones of these. */
  print(events: readonly TimedEvent[], limit: number): void {
    const sorted = [...events].sort((one, other) => one.event.timeMs - other.event.timeMs);
    const lines = sorted.slice(Math.max(0, sorted.length - limit)).flatMap((event) => this.#linesOf(event));
    if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  }

  #linesOf({ daemon, event }: TimedEvent): string[] {
    if (this.#json) {
      const { number, timeMs, level, component, message, fields } = event;
      const time = new Date(timeMs).toISOString();
      return [JSON.stringify({ time, daemon, level, component, message, fields: parsed(fields), number })];
    }
    const day = dayOf(event.timeMs);
    const line = lineOf(daemon, event, process.stdout.isTTY ? process.stdout.columns : undefined);
    if (day === this.#day) return [line];
    this.#day = day;
    return [`-- ${day} --`, line];
  }
}

/** `width`: what is beyond it is cut off. */
export function lineOf(daemon: string, event: Event, width: number | undefined): string {
  const { timeMs, level, component, message, fields } = event;
  const values = Object.entries(parsed(fields)).map(([name, value]) => `${name}=${textOf(value)}`);
  const line = [
    timeOf(timeMs),
    level.padEnd(LEVEL_WIDTH),
    daemon.padEnd(DAEMON_WIDTH),
    component.padEnd(COMPONENT_WIDTH),
    message,
    ...values,
  ]
    .join(' ')
    .replace(UNSEEN, escaped);
  if (width === undefined || line.length <= width) return line;
  return `${line.slice(0, Math.max(0, width - 1))}…`;
}

function parsed(fields: string): Record<string, unknown> {
  return fields === '' ? {} : (JSON.parse(fields) as Record<string, unknown>);
}

/** Bare, where it is plain where it ends. */
function textOf(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Here. */
function timeOf(timeMs: number): string {
  const date = new Date(timeMs);
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function dayOf(timeMs: number): string {
  const date = new Date(timeMs);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
