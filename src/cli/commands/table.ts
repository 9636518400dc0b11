import Table from 'cli-table3';

/** A plain table: columns by spaces, no lines, so that it can be cut and grepped. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const none = '';
  const grid = new Table({
    head: [...head],
    chars: {
      ...{ top: none, 'top-mid': none, 'top-left': none, 'top-right': none },
      ...{ bottom: none, 'bottom-mid': none, 'bottom-left': none, 'bottom-right': none },
      ...{ left: none, 'left-mid': none, mid: none, 'mid-mid': none },
      ...{ right: none, 'right-mid': none, middle: '  ' },
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) grid.push([...row]);
  return trimmed(grid.toString());
}

/** "name   value" lines. */
export function properties(pairs: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return trimmed(pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n'));
}

function trimmed(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
