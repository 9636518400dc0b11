import { isUtf8 } from 'node:buffer';
import { bytesOfCharacter, exactText } from './exact-text.ts';

/** Control and format characters, bytes that are no UTF-8, and what ends lines. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const QUOTE_START = "$'";
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  "'": "\\'",
  '\\': '\\\\',
};

/**
 * A name or path as people are shown it, and as bash and zsh take it back: as it is, unless something of it would not be seen.
 * Then it is quoted as $'line\nbreak', with \xNN for each byte that has no shorter escape; so is what begins like that by itself.
 */
export function shown(name: Uint8Array): string {
  const text = exactText(name);
  if (!UNSEEN.test(text) && !text.startsWith(QUOTE_START)) return text;
  return `${QUOTE_START}${[...text].map(escaped).join('')}'`;
}

/** The fields by which JSON tells a name: with `...Base64` beside it where text cannot say it. */
export function jsonName<K extends string>(key: K, name: Uint8Array): Record<K, string> {
  const text = Buffer.from(name.buffer, name.byteOffset, name.length);
  const field = { [key]: text.toString() } as Record<K, string>;
  return isUtf8(name) ? field : { ...field, [`${key}Base64`]: text.toString('base64') };
}

function escaped(character: string): string {
  const short = SHORT_ESCAPES[character];
  if (short !== undefined) return short;
  if (!UNSEEN.test(character)) return character;
  return [...bytesOfCharacter(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
