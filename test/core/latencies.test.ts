import test from 'ava';
import fc from 'fast-check';
import { Durations } from '../../src/base/metrics.ts';
import { Latencies } from '../../src/core/latencies.ts';
import { OperationCounters } from '../../src/core/operation-counters.ts';

const SECOND_US = 1_000_000;

/** From what a clock cannot tell from nothing to what is above all bounds. */
const latenciesUs = fc.array(
  fc.oneof(fc.nat(100), fc.nat(10_000), fc.nat(30 * SECOND_US), fc.constant(10 * SECOND_US)),
  { minLength: 1, maxLength: 200 },
);

function counted(all: readonly number[]) {
  const counters = new OperationCounters();
  for (const latencyUs of all) counters.record('Read', { failed: false, bytes: 0, latencyUs });
  return counters.take();
}

function shown(latencies: Latencies) {
  const { count, sumSeconds, buckets, meanMs } = latencies;
  const quantiles = [0, 0.01, 0.5, 0.9, 0.99, 1].map((share) => latencies.quantileMs(share));
  return { count, sumSeconds, buckets, meanMs, quantiles };
}

test('a percentile is within half of the latency that it is about, and above none that there was', (t) => {
  fc.assert(
    fc.property(latenciesUs, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, share) => {
      const latencies = new Latencies(counted(all));
      const sorted = [...all].sort((a, b) => a - b);
      const exactMs = (sorted[Math.max(0, Math.ceil(share * all.length) - 1)] ?? 0) / 1000;
      const longestMs = (sorted.at(-1) ?? 0) / 1000;
      const quantileMs = latencies.quantileMs(share);
      const slackMs = 0.01;
      if (exactMs <= 10_000) {
        t.true(quantileMs <= exactMs * 1.5 + slackMs, `${quantileMs} for ${exactMs}`);
        t.true(quantileMs >= exactMs / 1.5 - slackMs, `${quantileMs} for ${exactMs}`);
      } else {
        t.true(quantileMs >= 10_000);
      }
      t.true(quantileMs <= longestMs, `${quantileMs} of at most ${longestMs}`);
    }),
  );
});

test('what several servers or heartbeats told adds up to what one would have told, whatever the order', (t) => {
  fc.assert(
    fc.property(fc.array(latenciesUs, { minLength: 1, maxLength: 5 }), (parts) => {
      const one = shown(new Latencies(counted(parts.flat())));
      t.deepEqual(shown(new Latencies(parts.flatMap(counted))), one);
      const each = parts.map((part) => new Latencies(counted(part)));
      t.deepEqual(shown(Latencies.merged(each.reverse())), one);
    }),
  );
});

test('the buckets are those of all other histograms', (t) => {
  fc.assert(
    fc.property(latenciesUs, (all) => {
      const durations = new Durations();
      for (const latencyUs of all) durations.record(latencyUs / 1000);
      const latencies = new Latencies(counted(all));
      t.deepEqual(latencies.buckets, durations.buckets);
      t.is(latencies.count, durations.count);
      t.true(Math.abs(latencies.sumSeconds - durations.sumSeconds) < 1e-6);
    }),
  );
});

test('of nothing everything is nothing', (t) => {
  t.like(shown(new Latencies()), { count: 0, sumSeconds: 0, meanMs: 0, quantiles: [0, 0, 0, 0, 0, 0] });
});

test('a server that knows more buckets, or none, is understood as far as it goes', (t) => {
  const [told] = counted([20, 20 * SECOND_US]);
  if (told === undefined) return t.fail();
  const more = new Latencies([{ ...told, latencyCounts: [...told.latencyCounts, 0, 0, 5] }]);
  t.is(more.quantileMs(1 / 7), 0.02);
  t.is(more.quantileMs(1), 20_000);
  const none = new Latencies([{ ...told, latencyCounts: [] }]);
  t.is(none.quantileMs(0.5), 0);
  t.is(none.meanMs, 10_000.01);
});
