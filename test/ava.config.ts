// For `npm test`: what package.json says of ava, and in which order the files run.
import { readFileSync } from 'node:fs';

/** Folders of files that take minutes: begun first, so that the short ones fill what is left at the end. */
const LONG = ['/test/sim/', '/test/e2e/', '/test/cli/'];

function rank(file: string): number {
  const index = LONG.findIndex((folder) => file.includes(folder));
  return index < 0 ? LONG.length : index;
}

const { ava } = JSON.parse(readFileSync('package.json', 'utf8'));

export default {
  ...ava,
  sortTestFiles: (one: string, other: string) => rank(one) - rank(other) || one.localeCompare(other),
};
