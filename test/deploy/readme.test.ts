// The messages that README explains are the ones that programs say.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../../..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
/** What the system says, and not we. */
const OF_THE_SYSTEM = [
  'Input/output error',
  'No space left on device',
  'Permission denied',
  'Transport endpoint is not connected',
  'target is busy',
];
/** What a message has of its own where it is said. */
const OF_THE_CASE =
  /\.\.\.|\/lock\b|^chunk-size |^fusermount3 |\d[\d.:]*\d|\b\d+\b|\bFILE\b|"|^gfs-mount: |^umount: /;

function section(title: string): string {
  return README.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
}

test('each message under Troubleshooting is one that a program says', (t) => {
  const sources = ['src', 'mount', 'native']
    .flatMap((top) =>
      readdirSync(join(ROOT, top), { recursive: true, encoding: 'utf8' }).map((name) => join(top, name)),
    )
    .filter((path) => path.endsWith('.ts') && !path.startsWith('src/gen/'))
    .map((path) => readFileSync(join(ROOT, path), 'utf8'))
    .join('\n');
  const symptoms = [...section('Troubleshooting').matchAll(/^\| ([^|]*) \|/gm)].slice(2);
  const messages = symptoms.flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text),
  );
  t.true(messages.length > 15);
  const unknown = messages
    .filter(
      (message) => !message.startsWith('/readyz') && !OF_THE_SYSTEM.some((text) => message.includes(text)),
    )
    .flatMap((message) => message.split(OF_THE_CASE))
    .map((part) => part.replace(/^[ :]+|[ :]+$/g, ''))
    .filter((part) => part !== '' && !sources.includes(part));
  t.deepEqual(unknown, []);
});
