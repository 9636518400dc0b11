import { table } from '../../src/cli/commands/table.ts';

export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  process.stdout.write(`${table(head, rows)}\n\n`);
}
