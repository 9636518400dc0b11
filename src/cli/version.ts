import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** From dist/src/cli, the package's root. */
export const PACKAGE_ROOT = join(import.meta.dirname, '../../..');

export const VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }
).version;
