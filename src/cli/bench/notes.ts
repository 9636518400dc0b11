import type { Figure } from './figures.ts';
import type { PlaceFacts } from './place.ts';
import type { NetworkResult } from './results.ts';

interface Measurement {
  readonly here: PlaceFacts;
  readonly there: PlaceFacts | undefined;
  readonly network: NetworkResult | undefined;
  readonly figures: readonly Figure[];
  /** Why the kernel's caches were not emptied. */
  readonly whyNotCold: string | undefined;
}

/** What has to be known to read the figures, a sentence or two each. */
export function notesOf({ here, there, network, figures, whyNotCold }: Measurement): string[] {
  const cold = figures.filter((figure) => figure.cold).map(({ name }) => name);
  const places = [here, ...(there === undefined ? [] : [there])];
  const notes: string[] = [];
  if (cold.length > 0) notes.push(`${cold.join(', ')}: ${coldNote(places, whyNotCold)}`);
  if (network !== undefined) notes.push(networkNote(network));
  else notes.push('No shares of a network: where a directory has its bytes is not known.');
  return notes;
}

function coldNote(places: readonly PlaceFacts[], whyNotCold: string | undefined): string {
  const inCluster = places.some(({ kind }) => kind === 'cluster');
  const inDirectory = places.some(({ kind }) => kind === 'directory');
  const clients = inCluster ? ' The clients of the cluster were new.' : '';
  if (whyNotCold !== undefined) {
    const warm = inDirectory ? 'warm' : "from what the servers' kernels had in memory";
    return `${warm}, as this kernel's caches could not be emptied (${whyNotCold}).${clients}`;
  }
  const kept = [...(inDirectory ? ['mounts in their processes'] : []), 'servers on other machines'].join(
    ' and ',
  );
  return `cold, this kernel's caches were emptied before; what ${kept} keep was not.${clients}`;
}

function networkNote({ path, writtenCrossings }: NetworkResult): string {
  switch (path.kind) {
    case 'loopback':
      return `Network: loopback, as clients and servers are one machine: plain TCP streams between as many pairs of processes, in this run. What is written crosses it ${writtenCrossings} times.`;
    case 'link':
      return `Network: ${path.interface}, as its driver tells its speed; not measured.`;
    case 'unknown':
      return `No shares of the network: ${path.why}.`;
  }
}
