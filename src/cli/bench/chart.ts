import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from 'd3-scale';
import { formatSize, SECOND_MS } from '../../base/units.ts';
import type { Figure } from './figures.ts';
import type { PlaceFacts } from './place.ts';
import { counted } from './report.ts';
import { type Measured, networkLimit, type Results, type Row } from './results.ts';

/** Also of a single panel: the header needs the room. */
const COLUMN_COUNT = 3;
const PANEL = { width: 312, height: 218 } as const;
/** Around a panel's axes. */
const MARGIN = { left: 52, right: 18, top: 50, bottom: 40 } as const;
const HEADER_HEIGHT = 104;
const EDGE = 16;
const TICK_COUNT = 4;
/** A network that allows more than so many times what was reached would leave nothing to see of that: it is told in words. */
const LIMIT_SHOWN_MAX = 8;
/** Between the least and the most of two places. */
const LINEAR_RANGE_MAX = 10;
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });
/** Characters of a place's name: two of them and the network fit in a line. */
const LABEL_LENGTH_MAX = 44;
/** Classes of `STYLE`. */
const HERE = 'here';
const THERE = 'there';

/** Its own background, as nobody knows what it will be shown on; dark where the reader has it dark. */
const STYLE = `
  text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 11px; fill: #1f2328 }
  .background { fill: #ffffff } .title { font-size: 16px; font-weight: 600 } .name { font-size: 13px; font-weight: 600 }
  .muted { fill: #59636e } .grid { stroke: #d8dee4 } .axis { stroke: #59636e }
  .here { stroke: #2a78d6; fill: #2a78d6 } .there { stroke: #d9730d; fill: #d9730d }
  .limit { stroke: #8250df; stroke-dasharray: 6 4; fill: none; stroke-width: 1.5 }
  path.line { fill: none; stroke-width: 2 } .span { stroke-width: 1.5; stroke-opacity: 0.6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .background { fill: #0d1117 } .muted { fill: #9198a1 } .grid { stroke: #30363d }
    .axis { stroke: #9198a1 } .here { stroke: #58a6ff; fill: #58a6ff } .there { stroke: #f0883e; fill: #f0883e }
    .limit { stroke: #b083f0 }
  }`;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A picture (SVG): rate by number of clients, a panel for each figure, with the network's limit as in the paper's figure 3. */
export function chart(results: Results): string {
  const byFigure = new Map<Figure, Row[]>();
  for (const row of results.rows) byFigure.set(row.figure, [...(byFigure.get(row.figure) ?? []), row]);
  const width = COLUMN_COUNT * PANEL.width + 2 * EDGE;
  const height = Math.ceil(byFigure.size / COLUMN_COUNT) * PANEL.height + HEADER_HEIGHT + EDGE;
  const panels = [...byFigure].map(([figure, rows], index) => {
    const x = EDGE + (index % COLUMN_COUNT) * PANEL.width;
    const y = HEADER_HEIGHT + Math.floor(index / COLUMN_COUNT) * PANEL.height;
    return `<g transform="translate(${x} ${y})">\n${panel(results, figure, rows)}\n</g>`;
  });
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`,
    `<title>${escaped(titleOf(results))}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="background" width="${width}" height="${height}" rx="8"/>`,
    header(results),
    ...panels,
    '</svg>\n',
  ].join('\n');
}

function titleOf({ here }: Results): string {
  return `gfs bench: rate by number of clients, ${labelOf(here)}`;
}

function header(results: Results): string {
  const { machine, sizeBytes, fileCount, timeMs, rounds, here, there } = results;
  const sizes = `${formatSize(sizeBytes)} and ${fileCount} small files a client, up to ${timeMs / SECOND_MS} s`;
  const cpu = `${machine.cpuCount} x ${machine.cpu}, ${formatSize(machine.memoryBytes)}, ${machine.kernel}`;
  const keys: [string, string][] = [[lineKey(HERE), labelOf(here)]];
  if (there !== undefined) keys.push([lineKey(THERE), labelOf(there)]);
  if (results.rows.some((row) => networkLimit(results, row) !== undefined)) {
    keys.push(['<path class="limit" d="M0 -4H28"/>', `network limit (${limitSource(results)})`]);
  }
  const legend: string[] = [];
  let x = EDGE;
  for (const [key, label] of keys) {
    legend.push(`<g transform="translate(${x} 90)">${key}${text({ x: 34, y: 0 }, label)}</g>`);
    x += 34 + label.length * 6.4 + 22;
  }
  return [
    text({ x: EDGE, y: 30 }, 'gfs bench: rate by number of clients', 'class="title"'),
    text(
      { x: EDGE, y: 49 },
      `${sizes}; median, least and most of ${counted(rounds, 'round')}`,
      'class="muted"',
    ),
    text({ x: EDGE, y: 65 }, cpu, 'class="muted"'),
    ...legend,
  ].join('\n');
}

function lineKey(name: string): string {
  return `<path class="line ${name}" d="M0 -4H28"/><circle class="${name}" cx="14" cy="-4" r="3.5"/>`;
}

function limitSource({ network }: Results): string {
  return network?.path.kind === 'link' ? network.path.interface : 'loopback, measured';
}

function panel(results: Results, figure: Figure, rows: readonly Row[]): string {
  const right = PANEL.width - MARGIN.right;
  const bottom = PANEL.height - MARGIN.bottom;
  const limits = rows.map((row) => networkLimit(results, row)).filter((limit) => limit !== undefined);
  const { y, isLog, isLimitShown } = verticalScale(rows, limits);
  y.range([bottom, MARGIN.top]);
  const clientsMax = Math.max(2, ...rows.map(({ clients }) => clients));
  const x = scaleLog()
    .base(2)
    .domain([1, clientsMax])
    .range([MARGIN.left + 12, right - 6]);
  const at = (clients: number, rate: number): Point => ({ x: x(clients), y: y(rate) });
  const limitPoints = rows.map(({ clients }, index) => at(clients, limits[index] ?? 0));
  const middle = (MARGIN.left + right) / 2;
  return [
    text({ x: 8, y: 18 }, `${figure.name}, ${figure.unit}${isLog ? ', log scale' : ''}`, 'class="name"'),
    text({ x: 8, y: 34 }, figure.description, 'class="muted"'),
    ...gridLines(y, right),
    `<path class="axis" d="M${MARGIN.left} ${bottom}H${right}"/>`,
    ...rows.map(({ clients }) =>
      text({ x: x(clients), y: bottom + 16 }, String(clients), 'text-anchor="middle"'),
    ),
    text({ x: middle, y: bottom + 32 }, 'clients', 'class="muted" text-anchor="middle"'),
    ...(isLimitShown ? [`<path class="limit" d="${pathOf(limitPoints)}"/>`] : []),
    ...(limits.length > 0 && !isLimitShown ? [limitWords(limits, right)] : []),
    ...series(THERE, rows, ({ there }) => there, at),
    ...series(HERE, rows, ({ here }) => here, at),
  ].join('\n');
}

/** From 0 on, unless that would leave nothing to see of the lower one of two places. */
function verticalScale(
  rows: readonly Row[],
  limits: readonly number[],
): { y: ScaleContinuousNumeric<number, number>; isLog: boolean; isLimitShown: boolean } {
  const rates = rows.flatMap(({ here, there }) => [...here.rounds, ...(there?.rounds ?? [])]);
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  const isLog = rows.some(({ there }) => there !== undefined) && least > 0 && most > LINEAR_RANGE_MAX * least;
  const isLimitShown =
    limits.length === rows.length && (isLog || Math.max(...limits) <= LIMIT_SHOWN_MAX * most);
  const top = Math.max(most, ...(isLimitShown ? limits : []), Number.MIN_VALUE);
  const y = isLog ? scaleLog().domain([least, top]).nice() : scaleLinear().domain([0, top]).nice(TICK_COUNT);
  return { y, isLog, isLimitShown };
}

function gridLines(y: ScaleContinuousNumeric<number, number>, right: number): string[] {
  const [lowest = 0] = y.domain();
  // On a logarithmic scale powers of ten alone, or they would lie on one another.
  const ticks = y.ticks(TICK_COUNT).filter((tick) => lowest === 0 || Number.isInteger(Math.log10(tick)));
  return ticks.flatMap((tick) => [
    ...(tick === lowest ? [] : [`<path class="grid" d="M${MARGIN.left} ${rounded(y(tick))}H${right}"/>`]),
    text({ x: MARGIN.left - 6, y: y(tick) + 4 }, COMPACT.format(tick), 'text-anchor="end"'),
  ]);
}

/** The medians as a line, and how far the rounds lie apart. */
function series(
  name: string,
  rows: readonly Row[],
  of: (row: Row) => Measured | undefined,
  at: (clients: number, rate: number) => Point,
): string[] {
  const known = rows.flatMap((row) => {
    const found = of(row);
    return found === undefined ? [] : [{ clients: row.clients, ...found }];
  });
  if (known.length === 0) return [];
  const spans = known.map(({ clients, rounds }) =>
    pathOf([at(clients, Math.min(...rounds)), at(clients, Math.max(...rounds))]),
  );
  const points = known.map(({ clients, rate }) => at(clients, rate));
  return [
    `<path class="span ${name}" d="${spans.join('')}"/>`,
    `<path class="line ${name}" d="${pathOf(points)}"/>`,
    ...points.map(
      (point) => `<circle class="${name}" cx="${rounded(point.x)}" cy="${rounded(point.y)}" r="3.5"/>`,
    ),
  ];
}

/** In the corner, right of the figure's name. */
function limitWords(limits: readonly number[], right: number): string {
  const range = [
    ...new Set([Math.min(...limits), Math.max(...limits)].map((limit) => COMPACT.format(limit))),
  ];
  return text({ x: right, y: 18 }, `limit ${range.join(' to ')}`, 'class="muted" text-anchor="end"');
}

function labelOf({ kind, path, description }: PlaceFacts): string {
  const label = kind === 'cluster' ? `cluster (${description})` : `${path} (${description})`;
  return label.length <= LABEL_LENGTH_MAX ? label : `...${label.slice(3 - LABEL_LENGTH_MAX)}`;
}

function pathOf(points: readonly Point[]): string {
  return points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${rounded(x)} ${rounded(y)}`).join('');
}

function text({ x, y }: Point, words: string, attributes = ''): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}" ${attributes}>${escaped(words)}</text>`;
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
