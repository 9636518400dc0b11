// What one mount did, the other one shows at once: nobody waits here, and kernels believe what they are told for an hour.
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { always, seen, TwoMounts } from './two-mounts.ts';

const ROUNDS = 300;

const mounts = new TwoMounts();
let runs = false;
test.before(async (t) => {
  runs = await mounts.start((text) => t.log(text));
});
test.afterEach.always((t) => {
  if (!t.passed && runs) t.log(mounts.a.log.slice(-2000), mounts.b.log.slice(-2000));
});
test.after.always(() => mounts.end());

interface Places {
  /** One directory, seen through two mounts. */
  readonly a: string;
  readonly b: string;
}

function between(title: string, body: (t: ExecutionContext, places: Places) => Promise<void> | void): void {
  test.serial(title, async (t) => {
    if (!runs) {
      t.pass();
      return;
    }
    const a = fs.mkdtempSync(join(mounts.a.path, 'place-'));
    await body(t, { a, b: join(mounts.b.path, a.slice(mounts.a.path.length + 1)) });
  });
}

/** In each round one mount has looked, the other one changes, and the first one looks again. */
function afterEach<T>(
  t: ExecutionContext,
  look: (round: number) => T,
  change: (round: number) => void,
  expected: (round: number) => T,
): void {
  always(t, ROUNDS, (round) => {
    seen(() => look(round));
    change(round);
    const [is, should] = [JSON.stringify(seen(() => look(round))), JSON.stringify(expected(round))];
    return is === should ? undefined : `${is} instead of ${should}`;
  });
}

between('what the kernel knows it does not ask for', async (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), 'x');
  fs.statSync(join(b, 'f'));
  const before = await mounts.b.requests();
  for (let round = 0; round < 1000; round += 1) fs.statSync(join(b, 'f'));
  t.deepEqual(await mounts.b.requests(), before);
  fs.chmodSync(join(a, 'f'), 0o600);
  fs.statSync(join(b, 'f'));
  t.notDeepEqual(await mounts.b.requests(), before, 'it asks when it was told to');
});

between('chmod', (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), '');
  const mode = (round: number) => 0o600 + (round % 64);
  afterEach(
    t,
    () => fs.statSync(join(b, 'f')).mode & 0o777,
    (round) => fs.chmodSync(join(a, 'f'), mode(round)),
    mode,
  );
});
