// A program that prints what it was configured with; program.test.ts calls it as a user would.
import {
  addConfigCheck,
  addConfigFile,
  addKey,
  createProgram,
  parseCount,
  parseSize,
  runProgram,
  UsageError,
} from '../../src/cli/program.ts';

const program = createProgram('fixture', 'prints its keys');
addKey(program, '--size <size>', 'a size', { parse: parseSize, default: 7 });
addKey(program, '--count <n>', 'a count', { parse: parseCount({ min: 1, max: 9 }), default: 1 });
addKey(program, '--flag', 'a switch', { default: false });
addKey(program, '--data <dir>', 'needed', { required: true });
addConfigFile(program);
addConfigCheck(program, ({ size, count }: { size: number; count: number }) => {
  if (count > size) throw new UsageError('--count is above --size');
});
program.action(({ size, count, flag, data }: Record<string, unknown>) => {
  process.stdout.write(`${JSON.stringify({ size, count, flag, data })}\n`);
});
await runProgram(program);
