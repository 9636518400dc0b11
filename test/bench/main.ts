// npm run bench [-- NAME...]: all benchmarks, or those named.
import { benchAppend } from './append.ts';
import { benchMetadata } from './metadata.ts';
import { benchMount } from './mount.ts';
import { benchRpc } from './rpc.ts';
import { benchTakeover } from './takeover.ts';

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  rpc: benchRpc,
  metadata: benchMetadata,
  mount: benchMount,
  append: benchAppend,
  takeover: benchTakeover,
};

const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (!(name in BENCHES)) {
    process.stderr.write(`bench: there is no "${name}", but ${Object.keys(BENCHES).join(', ')}\n`);
    process.exit(2);
  }
}
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) await bench();
}
