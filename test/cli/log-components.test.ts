// That what is logged can be turned up: a component that a folder uses is one of the daemons that run it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { COMPONENTS, COMPONENTS_OF, type DaemonName } from '../../src/base/log.ts';
import { ROOT } from '../e2e/cluster.ts';

const CLIENTS: readonly DaemonName[] = ['gfs gateway', 'gfs-mount'];
const ALL = Object.keys(COMPONENTS_OF) as DaemonName[];
const RUN_BY: Readonly<Record<string, readonly DaemonName[]>> = {
  'src/master': ['gfs-master'],
  'src/chunkserver': ['gfs-chunkserver'],
  'src/storage': ['gfs-chunkserver'],
  'src/client': CLIENTS,
  'src/gateway': ['gfs gateway'],
  'src/rpc': ALL,
  'src/cli': ALL,
  mount: ['gfs-mount'],
};

/** By what the code asks loggers for. */
function componentsIn(folder: string): Set<string> {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  const found = files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [
      ...readFileSync(join(ROOT, folder, file), 'utf8').matchAll(/(?:\.of\(|component: )'(\w+)'/g),
    ]);
  return new Set(found.map(([, component]) => component ?? ''));
}

test('what is logged can be turned up where it is logged', (t) => {
  const seen = new Set<string>();
  for (const [folder, daemons] of Object.entries(RUN_BY)) {
    for (const component of componentsIn(folder)) {
      seen.add(component);
      for (const daemon of daemons) {
        t.true((COMPONENTS_OF[daemon] as readonly string[]).includes(component), `${component} of ${daemon}`);
      }
    }
  }
  t.deepEqual([...seen].sort(), Object.keys(COMPONENTS).sort());
});
