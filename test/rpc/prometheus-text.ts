// Reads Prometheus' text format as strictly as it is described, and checks what its users expect of names.
import assert from 'node:assert/strict';
import type { Monitor } from '../../src/rpc/monitor.ts';

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly TextSample[];
}

export interface TextSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** All families by name. Throws for anything that is not in the format. */
export function parsePrometheus(text: string): Map<string, Family> {
  assert(text.endsWith('\n'), 'the last line ends');
  const families = new Map<string, Family & { samples: TextSample[] }>();
  const helps = new Map<string, string>();
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = '', rest = ''] = comment;
      assert.match(name, NAME);
      if (kind === 'HELP') {
        assert(!helps.has(name), `${name} is described once`);
        helps.set(name, rest);
      } else {
        assert(!families.has(name), `${name} is there once`);
        assert.match(rest, /^(counter|gauge|histogram|summary|untyped)$/);
        families.set(name, { type: rest, help: helps.get(name) ?? '', samples: [] });
      }
      continue;
    }
    const sample = SAMPLE.exec(line);
    assert(sample !== null, `a sample: ${line}`);
    const [, name = '', labels = '', value = ''] = sample;
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
    assert(family !== undefined, `${name} has a type`);
    family.samples.push({ name, labels: parseLabels(labels), value: numberOf(value) });
  }
  return families;
}

/** What a process with this monitor answers to a scrape. */
export async function scrape(monitor: Monitor): Promise<Map<string, Family>> {
  const answer = await monitor.routes['/metrics']?.();
  assert.equal(answer?.status, 200);
  assert.match(answer.contentType, /^text\/plain; version=0\.0\.4/);
  return parsePrometheus(String(answer.body));
}

/** The sum of the samples of this name that have these labels; undefined: there is none. */
export function figureIn(
  families: Map<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const samples = (family?.samples ?? []).filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return samples.length === 0 ? undefined : samples.reduce((sum, { value }) => sum + value, 0);
}

/** What is wrong with our own figures: names without the right endings, no help, series that contradict one another. */
export function complaintsAbout(families: Map<string, Family>): string[] {
  const complaints: string[] = [];
  for (const [name, family] of families) {
    if (!name.startsWith('gfs_')) continue;
    const { type, help, samples } = family;
    if (!/^gfs_[a-z0-9_]+$/.test(name)) complaints.push(`${name}: not in lower case`);
    if (!/^[A-Z].{10,}\.$/.test(help)) complaints.push(`${name}: help is no sentence: ${help}`);
    if ((type === 'counter') !== name.endsWith('_total')) complaints.push(`${name}: a ${type}`);
    if (type === 'histogram' && !name.endsWith('_seconds')) complaints.push(`${name}: of what unit?`);
    if (/_(ms|us|millis|micros|kb|mb|percent|bits|minutes|count|sum|bucket)(_|$)/.test(name))
      complaints.push(`${name}: not a base unit, or an ending that histograms have`);
    const series = samples.map(
      (sample) => `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`,
    );
    if (new Set(series).size < series.length) complaints.push(`${name}: a series is there twice`);
    if (type === 'counter' && samples.some(({ value }) => !(value >= 0)))
      complaints.push(`${name}: below zero`);
    if (type === 'histogram') complaints.push(...complaintsAboutBuckets(name, samples));
  }
  return complaints;
}

function complaintsAboutBuckets(name: string, samples: readonly TextSample[]): string[] {
  const complaints: string[] = [];
  for (const end of samples.filter((sample) => sample.name === `${name}_count`)) {
    const buckets = samples.filter(
      (sample) =>
        sample.name === `${name}_bucket` &&
        Object.entries(end.labels).every(([key, value]) => sample.labels[key] === value),
    );
    const rising = buckets.every(({ value }, index) => value >= (buckets[index - 1]?.value ?? 0));
    const last = buckets.at(-1);
    if (!rising) complaints.push(`${name}: buckets do not rise`);
    if (last?.labels.le !== '+Inf' || last.value !== end.value)
      complaints.push(`${name}: the last bucket is not all`);
  }
  return complaints;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let at = 0; at < text.length; at = LABEL.lastIndex) {
    const [, name = '', value = ''] = LABEL.exec(text) ?? assert.fail(`labels: ${text}`);
    assert(!(name in labels), `${name} is there once`);
    labels[name] = value.replace(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

function numberOf(text: string): number {
  if (/^nan$/i.test(text)) return Number.NaN;
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  const value = Number(text);
  assert(Number.isFinite(value), `a number: ${text}`);
  return value;
}
