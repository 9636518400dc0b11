// What people are shown of figures: a table, a chart, notes.
import test from 'ava';
import { GiB, MiB } from '../../../src/base/units.ts';
import { chart } from '../../../src/cli/bench/chart.ts';
import { FIGURES, type FigureName, figureOf } from '../../../src/cli/bench/figures.ts';
import { notesOf } from '../../../src/cli/bench/notes.ts';
import { resultsText, shortNumber } from '../../../src/cli/bench/report.ts';
import {
  type Measured,
  networkLimit,
  type Results,
  ratio,
  resultsJson,
  share,
} from '../../../src/cli/bench/results.ts';

function measured(rate: number): Measured {
  return { rate, rounds: [rate / 2, rate, rate * 2], latencyMs: { p50: 0.001_234, p99: 12_345.6, max: 1e5 } };
}

/** Of all figures: `here` and `there` are the rates. */
function results({ here, there, network }: { here: number; there?: number; network?: number }): Results {
  const clients = [1, 2, 64];
  const limits = new Map(network === undefined ? [] : clients.map((count) => [count, network] as const));
  return {
    ...{ startedAtMs: 1e12, tookMs: 90_000, sizeBytes: 64 * MiB, fileCount: 300, timeMs: 1000, rounds: 3 },
    machine: {
      ...{
        host: 'h',
        cpu: 'A & B <processor> with a name that is long',
        cpuCount: 128,
        memoryBytes: 512 * GiB,
      },
      ...{ system: 'Linux', kernel: '6.1 x64', node: 'v20', loadAverage: 0 },
    },
    here: { kind: 'cluster', path: '/', description: '3 of 3 servers, 3 copies' },
    there: there === undefined ? undefined : { kind: 'directory', path: '/a&b<c>', description: 'ext4' },
    network:
      network === undefined
        ? undefined
        : { path: { kind: 'loopback', host: '127.0.0.1' }, writtenCrossings: 3, bytesPerSecond: limits },
    rows: FIGURES.flatMap((figure) =>
      clients.map((count) => ({
        figure,
        clients: count,
        here: measured(here),
        there: there === undefined ? undefined : measured(there),
      })),
    ),
    notes: [
      'A note that is so long that it has to go on in another line, or a terminal breaks it in a word.',
    ],
  };
}

test('numbers have three digits that say something', (t) => {
  const shown = [0.012_34, 1.234, 12.34, 123.4, 1234.5, 1_234_567].map(shortNumber);
  t.deepEqual(shown, ['0.012', '1.23', '12.3', '123', '1,235', '1,234,567']);
});

test('the table fits a terminal, whatever the figures are', (t) => {
  const wide = resultsText(results({ here: 98_765, there: 12_345, network: 1e12 }));
  t.deepEqual(
    wide.split('\n').filter((line) => line.length > 80),
    [],
  );
  t.regex(wide, /^FIGURE +CLIENTS +RATE +OF NET +p50 ms +p99 ms +COMPARED +RATIO$/m);
  t.regex(wide, /^write +64 +98,765 MB\/s +29\.6% +0\.001 +12,346 +12,345 MB\/s +8\.00x$/m);
  const bare = resultsText(results({ here: 100 }));
  t.regex(bare, /^FIGURE +CLIENTS +RATE +p50 ms +p99 ms$/m);
});

test('written bytes cross a network as often as there are copies, and names do not bound by it', (t) => {
  const all = results({ here: 150, network: 900e6 });
  const of = (name: FigureName) => ({ clients: 1, figure: figureOf(name), here: measured(150) });
  const [read, write, create] = [of('read'), of('write'), of('create')];
  t.is(networkLimit(all, read), 900);
  t.is(networkLimit(all, write), 300);
  t.is(networkLimit(all, create), undefined);
  t.is(share(all, write), 0.5);
  t.is(share(all, create), undefined);
  t.is(share(results({ here: 150 }), read), undefined);
  t.is(networkLimit(all, { ...read, figure: figureOf('randread') }), 900e6 / 4096);
});

test('the ratio says how many times as much as at the place that is compared', (t) => {
  const [row] = results({ here: 50, there: 200 }).rows;
  t.is(row && ratio(row), 0.25);
});

test('JSON has every figure with its rounds, limit and ratio', (t) => {
  const json = JSON.parse(JSON.stringify(resultsJson(results({ here: 50, there: 200, network: 1e9 }))));
  t.is(json.figures.length, FIGURES.length * 3);
  const [first] = json.figures;
  t.like(first, { name: 'write', unit: 'MB/s', clients: 1, rate: 50, rounds: [25, 50, 100], ratio: 0.25 });
  t.is(first.compare.rate, 200);
  t.is(Math.round(first.networkLimit), 333);
  t.deepEqual(json.network.limits[0], { clients: 1, bytesPerSecond: 1e9 });
});

test('the chart has a panel for each figure, and says what everything is', (t) => {
  const svg = chart(results({ here: 100, there: 200, network: 1e9 }));
  for (const { name, unit } of FIGURES) t.true(svg.includes(`>${name}, ${unit}<`), name);
  t.is(svg.match(/>clients</g)?.length, FIGURES.length);
  for (const words of ['/a&amp;b&lt;c&gt; (ext4)', 'A &amp; B &lt;processor&gt;', 'network limit (loopback'])
    t.true(svg.includes(words), words);
  t.false(/NaN|undefined|Infinity/.test(svg));
});

test('places that lie far apart are shown on a logarithmic scale, others from 0 on', (t) => {
  t.false(chart(results({ here: 100, there: 200 })).includes('log scale'));
  const far = chart(results({ here: 100, there: 100_000, network: 1e9 }));
  t.is(far.match(/log scale/g)?.length, FIGURES.length);
  t.false(/NaN|undefined|Infinity/.test(far));
});

test('a network that allows far more than was reached is told in words, or nothing else could be seen', (t) => {
  const near = chart(results({ here: 100, network: 300e6 }));
  const far = chart(results({ here: 100, network: 30e9 }));
  const drawnLimits = (svg: string) => svg.match(/<path class="limit" d="M(?!0 )/g)?.length ?? 0;
  t.is(drawnLimits(near), 2);
  t.true(far.includes('>limit 30K<'));
  t.is(drawnLimits(far), 0);
});

test('a chart of one client alone, and of nothing done, is one', (t) => {
  const all = results({ here: 0 });
  const one = {
    ...all,
    rows: all.rows.filter(({ clients, figure }) => clients === 1 && figure.name === 'read'),
  };
  t.false(/NaN|undefined|Infinity/.test(chart(one)));
});

test('notes say what was cold, and what the shares are of', (t) => {
  const cluster = { kind: 'cluster', path: '/', description: '' } as const;
  const directory = { kind: 'directory', path: '/mnt', description: '' } as const;
  const notes = (options: Partial<Parameters<typeof notesOf>[0]>) =>
    notesOf({
      ...{ here: directory, there: undefined, network: undefined, figures: FIGURES, whyNotCold: undefined },
      ...options,
    }).join('\n');
  t.regex(notes({}), /^read, randread, stat, open: cold, .* mounts in their processes and servers/);
  t.regex(notes({}), /^No shares of a network/m);
  t.regex(notes({ whyNotCold: 'EACCES' }), /: warm, .*\(EACCES\)\.$/m);
  t.regex(notes({ here: cluster }), /The clients of the cluster were new\.$/m);
  t.false(notes({ figures: [figureOf('write')] }).includes('cold'));
  const bytesPerSecond = new Map<number, number>();
  const network = (path: Parameters<typeof notesOf>[0]['network'] & {}) =>
    notes({ here: cluster, network: path });
  const loopback = { path: { kind: 'loopback', host: '' }, writtenCrossings: 3, bytesPerSecond } as const;
  t.regex(network(loopback), /loopback.*crosses it 3 times/);
  const link = { kind: 'link', interface: 'eth0', bytesPerSecond: 1 } as const;
  t.regex(network({ ...loopback, path: link }), /eth0, .*not measured/);
  t.regex(network({ ...loopback, path: { kind: 'unknown', why: 'so' } }), /No shares of the network: so\./);
});
