// What has to be in the files after all that chaos, from the manifests of the writers.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, fileOf, lineOf, RECORD_BYTES, RECORD_COUNT, recordOf } from './lines.ts';

/** A run with less of these proves nothing. */
export const ACKNOWLEDGED_PER_MINUTE_MIN = 1_000;
export const KILLS_PER_MINUTE_MIN = 5;

export interface Told {
  readonly name: string;
  /** Operations that the cluster acknowledged. */
  readonly acknowledged: number;
  /** Lines that are in the log, and in the one of its own. */
  readonly appended: ReadonlySet<number>;
  readonly own: ReadonlySet<number>;
  /** By index: the highest counter that was synced, and the highest that was begun. */
  readonly records: Counters;
  readonly files: Counters;
  /** What the program itself saw go wrong. */
  readonly problems: readonly string[];
}

interface Counters {
  readonly done: ReadonlyMap<number, number>;
  readonly begun: ReadonlyMap<number, number>;
}

/** What was too little; undefined: the run was under load and saw enough deaths. */
export function tooLittle(run: {
  readonly acknowledged: number;
  readonly kills: number;
  readonly minutes: number;
}): string | undefined {
  const acknowledgedMin = ACKNOWLEDGED_PER_MINUTE_MIN * run.minutes;
  const killsMin = KILLS_PER_MINUTE_MIN * run.minutes;
  if (run.acknowledged < acknowledgedMin)
    return `${run.acknowledged} operations in ${run.minutes} minutes, at least ${acknowledgedMin} are wanted`;
  if (run.kills < killsMin)
    return `${run.kills} kills in ${run.minutes} minutes, at least ${killsMin} are wanted`;
  return undefined;
}

/** What is wrong in the files of a directory that these programs wrote. */
export function judge(directory: string, told: readonly Told[]): string[] {
  const problems = told.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
  const log = readFileSync(join(directory, 'log'), 'latin1');
  problems.push(...judgeLog(log, new Map(told.map(({ name, appended }) => [name, appended]))));
  for (const one of told) {
    problems.push(...judgeOwnLog(directory, one));
    problems.push(...judgeRecords(directory, one));
    problems.push(...judgeFiles(directory, one));
  }
  return problems;
}

/** What a reader saw of the log has to be how the log began: bytes once seen do not change, nor vanish. */
export function judgeCopy(copy: Uint8Array, log: Uint8Array): string[] {
  if (copy.length > log.length) return [`a reader saw ${copy.length} bytes of a log of ${log.length}`];
  for (let at = 0; at < copy.length; at += 1) {
    if (copy[at] !== log[at]) return [`byte ${at} of the log is not what a reader saw there`];
  }
  return [];
}

/** Each acknowledged line once and whole, each writer's in order, and nothing else. */
export function judgeLog(text: string, appended: ReadonlyMap<string, ReadonlySet<number>>): string[] {
  const problems: string[] = [];
  const seen = new Map<string, Set<number>>([...appended.keys()].map((name) => [name, new Set()]));
  const last = new Map<string, number>();
  const lines = text.split('\n');
  if (lines.pop() !== '') problems.push('the log ends within a line');
  for (const line of lines) {
    const [name = '', digits = ''] = line.split(' ', 2);
    const number = Number(digits);
    const numbers = seen.get(name);
    if (numbers === undefined || `${line}\n` !== lineOf(name, number)) {
      problems.push(`the log has a line that nobody wrote: ${JSON.stringify(line.slice(0, 80))}`);
      continue;
    }
    if (numbers.has(number)) problems.push(`line ${number} of ${name} is there twice`);
    else if (number < (last.get(name) ?? 0)) problems.push(`line ${number} of ${name} is out of order`);
    numbers.add(number);
    last.set(name, number);
  }
  for (const [name, numbers] of appended) {
    for (const number of numbers) {
      if (!seen.get(name)?.has(number))
        problems.push(`line ${number} of ${name} was acknowledged and is not there`);
    }
  }
  return problems;
}

function judgeOwnLog(directory: string, { name, own }: Told): string[] {
  if (own.size === 0) return [];
  const text = readFileSync(join(directory, `own-${name}`), 'latin1');
  return judgeLog(text, new Map([[name, own]])).map((problem) => `own-${name}: ${problem}`);
}

/** Each record whole, none older than what a sync covered. */
function judgeRecords(directory: string, { name, records }: Told): string[] {
  if (records.begun.size === 0) return [];
  const problems: string[] = [];
  const bytes = readFileSync(join(directory, `records-${name}`));
  if (bytes.length !== RECORD_BYTES * RECORD_COUNT) return [`records-${name} is ${bytes.length} bytes long`];
  for (let index = 0; index < RECORD_COUNT; index += 1) {
    const found = bytes.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
    const counter = Number(found.subarray(0, found.indexOf(';')).toString().split(' ')[2]);
    if (!found.equals(recordOf(name, index, counter)))
      problems.push(`record ${index} of ${name} is a mixture`);
    else if (counter < (records.done.get(index) ?? 0))
      problems.push(`record ${index} of ${name} went back to ${counter}`);
    else if (counter > (records.begun.get(index) ?? 0))
      problems.push(`record ${index} of ${name} is from nowhere`);
  }
  return problems;
}

/** Each file that was finished and not begun again since is as it was written. */
function judgeFiles(directory: string, { name, files }: Told): string[] {
  const problems: string[] = [];
  for (const [index, counter] of files.done) {
    if (files.begun.get(index) !== counter) continue;
    const path = join(directory, `file-${name}-${index}`);
    if (!existsSync(path)) problems.push(`file ${index} of ${name} is not there`);
    else if (digestOf(readFileSync(path)) !== digestOf(fileOf(name, counter)))
      problems.push(`file ${index} of ${name} is not its ${counter}th`);
  }
  return problems;
}

/** What a program noted; the last line may have been cut off when it was killed. */
export function readManifest(name: string, text: string): Told {
  const appended = new Set<number>();
  const own = new Set<number>();
  const records = { done: new Map<number, number>(), begun: new Map<number, number>() };
  const files = { done: new Map<number, number>(), begun: new Map<number, number>() };
  const problems: string[] = [];
  let acknowledged = 0;
  for (const line of text.split('\n').slice(0, -1)) {
    const [kind = '', first, second] = line.split(' ');
    if (['append', 'own', 'record', 'file'].includes(kind)) acknowledged += 1;
    if (kind === 'append') appended.add(Number(first));
    if (kind === 'own') own.add(Number(first));
    if (kind === 'record') records.done.set(Number(first), Number(second));
    if (kind === 'begin') records.begun.set(Number(first), Number(second));
    if (kind === 'file') files.done.set(Number(first), Number(second));
    if (kind === 'making') files.begun.set(Number(first), Number(second));
    if (kind === 'problem') problems.push(line.slice('problem '.length));
  }
  return { name, acknowledged, appended, own, records, files, problems };
}

/** All files of a directory, by name. */
export function filesOf(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}
