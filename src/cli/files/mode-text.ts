import { FileType, type Time } from '../../rpc/messages.ts';

const TYPE_LETTERS: Readonly<Record<number, string>> = {
  [FileType.FILE_TYPE_REGULAR]: '-',
  [FileType.FILE_TYPE_DIRECTORY]: 'd',
  [FileType.FILE_TYPE_SYMLINK]: 'l',
  [FileType.FILE_TYPE_FIFO]: 'p',
  [FileType.FILE_TYPE_SOCKET]: 's',
  [FileType.FILE_TYPE_BLOCK_DEVICE]: 'b',
  [FileType.FILE_TYPE_CHARACTER_DEVICE]: 'c',
};

/** "drwxr-sr-t", as `ls -l` begins its lines. */
export function modeText(type: FileType, mode: number): string {
  const letters = [0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001].map((bit, index) =>
    (mode & bit) === 0 ? '-' : ('rwx'[index % 3] ?? '-'),
  );
  for (const [index, bit, letter] of [
    [2, 0o4000, 's'],
    [5, 0o2000, 's'],
    [8, 0o1000, 't'],
  ] as const) {
    if ((mode & bit) !== 0) letters[index] = letters[index] === 'x' ? letter : letter.toUpperCase();
  }
  return (TYPE_LETTERS[type] ?? '?') + letters.join('');
}

/** "2024-05-31 17:08", in this machine's time zone. */
export function minuteText(time: Time | undefined): string {
  if (time === undefined) return '-';
  const date = new Date(time.seconds * 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** "2024-05-31T15:08:12.123Z". */
export function isoText(time: Time | undefined): string {
  return time === undefined ? '-' : new Date(time.seconds * 1000 + time.nanos / 1e6).toISOString();
}

/** "0644". */
export function octalText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

export function typeText(type: FileType): string {
  return TYPE_NAMES[type] ?? 'unknown';
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [FileType.FILE_TYPE_REGULAR]: 'file',
  [FileType.FILE_TYPE_DIRECTORY]: 'directory',
  [FileType.FILE_TYPE_SYMLINK]: 'symbolic link',
  [FileType.FILE_TYPE_FIFO]: 'fifo',
  [FileType.FILE_TYPE_SOCKET]: 'socket',
  [FileType.FILE_TYPE_BLOCK_DEVICE]: 'block device',
  [FileType.FILE_TYPE_CHARACTER_DEVICE]: 'character device',
};
