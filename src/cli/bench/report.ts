import { formatSize, SECOND_MS } from '../../base/units.ts';
import { table } from '../commands/table.ts';
import type { PlaceFacts } from './place.ts';
import { type Measured, networkLimit, type Results, type Row, ratio, share } from './results.ts';

const COLUMNS = 80;

/** What a person is shown: where, the figures, and how to read them. */
export function resultsText(results: Results): string {
  return [...heading(results), '', figuresTable(results), '', ...results.notes.flatMap(wrapped)].join('\n');
}

/** Three digits that say something. */
export function shortNumber(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(value >= 1 ? 2 : 3);
}

function heading({ machine, here, there, sizeBytes, fileCount, timeMs, rounds, tookMs }: Results): string[] {
  const { cpuCount, cpu, memoryBytes, kernel } = machine;
  const sizes = `${formatSize(sizeBytes)} and ${fileCount} files a client, ${counted(rounds, 'round')} of up to ${timeMs / SECOND_MS} s`;
  return [
    ...wrapped(placeText(here)),
    ...(there === undefined ? [] : wrapped(`compared with ${placeText(there)}`)),
    ...wrapped(`${cpuCount} x ${cpu}, ${formatSize(memoryBytes)} memory, ${kernel}`),
    ...wrapped(`${sizes}; took ${Math.round(tookMs / SECOND_MS)} s`),
  ];
}

/** "1 round", "3 rounds". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function placeText({ kind, path, description }: PlaceFacts): string {
  return kind === 'cluster' ? `the cluster, in ${path} (${description})` : `${path} (${description})`;
}

function figuresTable(results: Results): string {
  const { rows, there, network } = results;
  const hasShares = network !== undefined && network.bytesPerSecond.size > 0;
  const head = ['FIGURE', 'CLIENTS', 'RATE', ...(hasShares ? ['OF NET'] : []), 'p50 ms', 'p99 ms'];
  if (there !== undefined) head.push('COMPARED', 'RATIO');
  const grid = rows.map((row) => {
    const { figure, clients, here } = row;
    return [
      ...[figure.name, String(clients), rateText(row, here)],
      ...(hasShares ? [shareText(results, row)] : []),
      ...[shortNumber(here.latencyMs.p50), shortNumber(here.latencyMs.p99)],
      ...(row.there === undefined ? [] : [rateText(row, row.there), `${shortNumber(ratio(row) ?? 0)}x`]),
    ];
  });
  return table(head, rightAligned(head, grid));
}

function rateText({ figure }: Row, { rate }: Measured): string {
  return figure.unit === 'MB/s' ? `${shortNumber(rate)} MB/s` : `${shortNumber(rate)} /s`;
}

function shareText(results: Results, row: Row): string {
  if (networkLimit(results, row) === undefined) return '-';
  return `${((share(results, row) ?? 0) * 100).toFixed(1)}%`;
}

/** All but the first column are numbers. */
function rightAligned(head: string[], rows: readonly (readonly string[])[]): string[][] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const pad = (row: readonly string[]) =>
    row.map((text, column) => (column === 0 ? text : text.padStart(widths[column] ?? 0)));
  head.splice(0, head.length, ...pad(head));
  return rows.map(pad);
}

/** In lines of a terminal. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}
