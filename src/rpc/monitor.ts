import { assert } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import type { Figure, Metrics } from '../base/metrics.ts';
import { type HttpRoutes, text } from './http.ts';
import type { PrometheusPage } from './prometheus.ts';

/** The lag of the event loop is told of what was measured, which has just begun when the first one asks. */
const FIRST_MEASURE_MS = 50;

/**
 * What a process tells machines that watch it, by HTTP: at /metrics its figures, as Prometheus reads them, and at /readyz whether it
 * does its work yet, or still (503 and why, when it does not). That it runs at all says /healthz, which each port has.
 */
export class Monitor implements Metrics {
  /** For `NodeNetwork`. */
  readonly routes: HttpRoutes = {
    '/metrics': async () => {
      this.#page ??= this.#open();
      const page = await this.#page;
      return { status: 200, contentType: page.contentType, body: await page.text(this.#figures) };
    },
    '/readyz': () => {
      const missing = this.#missing();
      return missing === undefined ? text(200, 'ok\n') : text(503, `${missing}\n`);
    },
  };
  readonly #env: Env;
  readonly #figures: Figure[] = [];
  readonly #names = new Set<string>();
  /** Made for the first one who asks: most processes are not watched, and its package takes a while to load. */
  #page: Promise<PrometheusPage> | undefined;
  #missing: () => string | undefined = () => 'starting';

  constructor({ env, version }: { env: Env; version: string }) {
    this.#env = env;
    this.add([
      {
        type: 'gauge',
        name: 'gfs_build_info',
        help: 'Always 1: the version is in its label.',
        read: () => [{ labels: { version }, value: 1 }],
      },
    ]);
  }

  add(figures: readonly Figure[]): void {
    for (const figure of figures) {
      assert(!this.#names.has(figure.name), `${figure.name} is added once`);
      this.#names.add(figure.name);
      this.#figures.push(figure);
    }
  }

  /** The process serves now, as long as `missing` tells nothing that it lacks. */
  serves(missing: () => string | undefined = () => undefined): void {
    this.#missing = missing;
  }

  async #open(): Promise<PrometheusPage> {
    const { PrometheusPage } = await import('./prometheus.ts');
    const page = new PrometheusPage((name, error) =>
      this.#env.log
        .of('daemon')
        .warn({ figure: name, code: codeOf(error), error: messageOf(error) }, 'a figure is not known'),
    );
    await this.#env.sleep(FIRST_MEASURE_MS);
    return page;
  }
}
