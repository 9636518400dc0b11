// Options of the tools for developers: a wrong call is one line, and ends with 2.
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { messageOf } from '../src/base/errors.ts';

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

export function toolOptions<T extends Options>(tool: string, options: T): Values<T> {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return refuseCall(tool, messageOf(error));
  }
}

export function refuseCall(tool: string, why: string): never {
  process.stderr.write(`${tool}: ${why}\n`);
  process.exit(2);
}
