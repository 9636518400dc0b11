import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';

/**
 * Names are bytes, arguments and messages are text. Here text says all of them: a byte that is no UTF-8 is a lone surrogate, as
 * Python has it (PEP 383), 0x80 to 0xff as U+DC80 to U+DCFF. No valid UTF-8 decodes to one, so it goes back the same way.
 */
const ESCAPE_BASE = 0xdc00;
/** With the flag `u` a surrogate that belongs to a pair does not match. */
const ESCAPED = /[\udc80-\udcff]/u;

export function exactText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isUtf8(buffer)) return buffer.toString();
  let text = '';
  for (let position = 0; position < buffer.length; ) {
    const lead = buffer[position] ?? 0;
    const character = buffer.subarray(position, position + sequenceLength(lead));
    const valid = isUtf8(character);
    text += valid ? character.toString() : String.fromCharCode(ESCAPE_BASE + lead);
    position += valid ? character.length : 1;
  }
  return text;
}

export function exactBytes(text: string): Buffer {
  if (!ESCAPED.test(text)) return Buffer.from(text);
  return Buffer.concat([...text].map(bytesOfCharacter));
}

/** Of one character of exact text. */
export function bytesOfCharacter(character: string): Buffer {
  return ESCAPED.test(character) ? Buffer.of(character.charCodeAt(0) - ESCAPE_BASE) : Buffer.from(character);
}

/**
 * This program's arguments as exact text. Node.js has decoded what it shows of them, so those that are not UTF-8 come from
 * where Linux shows them.
 */
export function exactArguments(): string[] {
  const shown = process.argv.slice(2);
  const isWhole = shown.every((argument) => !argument.includes('\ufffd'));
  return isWhole ? shown : argumentsIn(readFileSync('/proc/self/cmdline'), shown.length);
}

/** The last ones of /proc/PID/cmdline, where a zero byte ends each. */
export function argumentsIn(cmdline: Buffer, count: number): string[] {
  const all = cmdline.toString('latin1').split('\0').slice(0, -1);
  return all.slice(all.length - count).map((argument) => exactText(Buffer.from(argument, 'latin1')));
}

/** How long the UTF-8 sequence is that begins so. */
function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}
