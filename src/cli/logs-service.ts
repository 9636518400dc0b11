import { GfsError } from '../base/errors.ts';
import {
  COMPONENTS,
  COMPONENTS_OF,
  type Component,
  type DaemonName,
  LOG_LEVELS,
  type LogLevel,
} from '../base/log.ts';
import type { RecentLine } from '../base/recent-lines.ts';
import { type Event, type ListEventsRequest, LogsDefinition } from '../rpc/messages.ts';
import { bindService, type ServiceBinding } from '../rpc/network.ts';
import { isShown, type ProcessLog } from './logger.ts';

/** In one message. */
const EVENTS_MAX = 200;

/** `gfs.v1.Logs` of a daemon. */
export function logsService(program: DaemonName, log: ProcessLog): ServiceBinding {
  const known: readonly Component[] = COMPONENTS_OF[program];
  const componentOf = (text: string): Component | undefined => {
    if (text === '') return undefined;
    const found = known.find((component) => component === text);
    if (found !== undefined) return found;
    const message = `${program} has no component "${text}", but ${known.join(', ')}`;
    throw new GfsError('INVALID_ARGUMENT', message);
  };

  return bindService(LogsDefinition, {
    getLevels: async () => {
      const components = known.map((component) => {
        return { component, level: log.levels.get(component) ?? '', about: COMPONENTS[component] };
      });
      return { message: { program, components } };
    },

    setLevel: async ({ message: { level: text, component } }, { requestId, peer }) => {
      const level = levelOf(text);
      log.setLevel(level, componentOf(component));
      const fields = { requestId, peer, of: component || 'all', to: level };
      log.logger.info(fields, 'a level of the log was set');
      return { message: {} };
    },

    listEvents: async (stream, { signal }) => {
      const wanted = await onlyRequest(stream.requests);
      const { limit, follow } = wanted;
      const level = wanted.level === '' ? 'debug' : levelOf(wanted.level);
      const { component } = wanted;
      // One of another daemon has no lines here: whoever asks all of them asks alike.
      if (component !== '' && !Object.hasOwn(COMPONENTS, component)) componentOf(component);
      const isWanted = (event: Event) =>
        isShown(event.level as LogLevel, level) && (component === '' || event.component === component);

      let { lastNumber } = log.recent;
      const there = log.recent.since(0).map(eventOf).filter(isWanted).slice(-limit);
      for (let from = 0; from < there.length; from += EVENTS_MAX) {
        await stream.send({ events: there.slice(from, from + EVENTS_MAX), missed: false, caughtUp: false });
      }
      if (!follow) return;
      await stream.send({ events: [], missed: false, caughtUp: true });
      while (!signal.aborted) {
        await log.recent.after(lastNumber, signal);
        const missed = log.recent.isMissing(lastNumber, level);
        const lines = log.recent.since(lastNumber).slice(0, EVENTS_MAX);
        lastNumber = lines.at(-1)?.number ?? lastNumber;
        const events = lines.map(eventOf).filter(isWanted);
        if (events.length > 0 || missed) await stream.send({ events, missed, caughtUp: true });
      }
    },
  });
}

function levelOf(text: string): LogLevel {
  const found = LOG_LEVELS.find((level) => level === text);
  if (found !== undefined) return found;
  throw new GfsError('INVALID_ARGUMENT', `"${text}" is no level: there are ${LOG_LEVELS.join(', ')}`);
}

async function onlyRequest(
  requests: AsyncIterable<{ readonly message: ListEventsRequest }>,
): Promise<ListEventsRequest> {
  for await (const { message } of requests) return message;
  throw new GfsError('INVALID_ARGUMENT', 'a call without a request');
}

/** What every line of the process has, and nobody asks for. */
const OF_ALL = new Set(['name', 'pid', 'hostname', 'level', 'time', 'component', 'msg']);

function eventOf({ number, level, text }: RecentLine): Event {
  const line = JSON.parse(text) as Record<string, unknown>;
  const fields = Object.fromEntries(Object.entries(line).filter(([name]) => !OF_ALL.has(name)));
  return {
    number,
    timeMs: Date.parse(String(line.time)),
    level,
    component: String(line.component),
    message: String(line.msg),
    fields: JSON.stringify(fields),
  };
}
