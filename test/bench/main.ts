import { benchAppend } from './append.ts';
import { benchMetadata } from './metadata.ts';
import { benchMount } from './mount.ts';
import { benchRemovals } from './removals.ts';
import { benchRpc } from './rpc.ts';
import { benchTakeover } from './takeover.ts';

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  rpc: benchRpc,
  metadata: benchMetadata,
  mount: benchMount,
  removals: benchRemovals,
  append: benchAppend,
  takeover: benchTakeover,
};

const HELP = `npm run bench -- [NAME...]

Figures, and ratios to a plain directory: all of them, or those named.

  rpc        calls and bytes a second, over frames and gRPC
  metadata   commands a second at the master, without and with log and fsync
  mount      everyday work on a mount
  removals   making and removing files, alone and while other mounts know them
  append     records that one and many programs append to a file on mounts
  takeover   how long a writer waits when a server of its chunk dies or stops

The last four need root and /dev/fuse.
`;

const wanted = process.argv.slice(2);
if (wanted.includes('--help')) {
  process.stdout.write(HELP);
  process.exit(0);
}
for (const name of wanted) {
  if (!(name in BENCHES)) {
    process.stderr.write(`bench: there is no "${name}", but ${Object.keys(BENCHES).join(', ')}\n`);
    process.exit(2);
  }
}
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) await bench();
}
