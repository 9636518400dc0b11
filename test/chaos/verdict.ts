// What has to be in the files after all that chaos, from the manifests of the writers.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineOf, RECORD_BYTES, RECORD_COUNT, recordOf } from './writer.ts';

export interface Verdict {
  readonly acknowledged: number;
  readonly problems: readonly string[];
}

interface Told {
  readonly name: string;
  readonly appended: ReadonlySet<number>;
  /** By record: the highest counter that was synced, and all that were begun. */
  readonly synced: ReadonlyMap<number, number>;
  readonly begun: ReadonlyMap<number, number>;
}

export function judge(mount: string, manifests: ReadonlyMap<string, string>): Verdict {
  const told = [...manifests].map(([name, path]) => read(name, path));
  const problems = judgeLog(readFileSync(join(mount, 'log'), 'utf8'), told);
  for (const one of told) problems.push(...judgeRecords(mount, one));
  const acknowledged = told.reduce((sum, { appended, synced }) => sum + appended.size + synced.size, 0);
  return { acknowledged, problems };
}

/** Each acknowledged line once and whole, each writer's in order, and nothing else. */
function judgeLog(text: string, told: readonly Told[]): string[] {
  const problems: string[] = [];
  const seen = new Map<string, Set<number>>(told.map(({ name }) => [name, new Set()]));
  const last = new Map<string, number>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [name = '', number = ''] = line.split(' ', 2);
    const numbers = seen.get(name);
    if (numbers === undefined || `${line}\n` !== lineOf(name, Number(number))) {
      problems.push(`the log has a line that nobody wrote: ${JSON.stringify(line.slice(0, 80))}`);
      continue;
    }
    if (numbers.has(Number(number))) problems.push(`line ${number} of ${name} is there twice`);
    else if (Number(number) < (last.get(name) ?? 0))
      problems.push(`line ${number} of ${name} is out of order`);
    numbers.add(Number(number));
    last.set(name, Number(number));
  }
  for (const { name, appended } of told) {
    for (const number of appended) {
      if (!seen.get(name)?.has(number))
        problems.push(`line ${number} of ${name} was acknowledged and is not there`);
    }
  }
  return problems;
}

/** Each record whole, none older than what a sync covered. */
function judgeRecords(mount: string, { name, synced, begun }: Told): string[] {
  const problems: string[] = [];
  const bytes = readFileSync(join(mount, `records-${name}`));
  if (bytes.length !== RECORD_BYTES * RECORD_COUNT) return [`records-${name} is ${bytes.length} bytes long`];
  for (let index = 0; index < RECORD_COUNT; index += 1) {
    const found = bytes.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
    const counter = Number(found.subarray(0, found.indexOf(';')).toString().split(' ')[2]);
    if (!found.equals(recordOf(name, index, counter)))
      problems.push(`record ${index} of ${name} is a mixture`);
    else if (counter < (synced.get(index) ?? 0))
      problems.push(`record ${index} of ${name} went back to ${counter}`);
    else if (counter > (begun.get(index) ?? 0)) problems.push(`record ${index} of ${name} is from nowhere`);
  }
  return problems;
}

function read(name: string, manifest: string): Told {
  const appended = new Set<number>();
  const synced = new Map<number, number>();
  const begun = new Map<number, number>();
  for (const line of readFileSync(manifest, 'utf8').split('\n')) {
    const [kind, first, second] = line.split(' ');
    if (kind === 'append') appended.add(Number(first));
    if (kind === 'record') synced.set(Number(first), Number(second));
    if (kind === 'begin') begun.set(Number(first), Number(second));
  }
  return { name, appended, synced, begun };
}
