import { GfsError } from '../base/errors.ts';
import type { Command } from '../core/metadata/commands.ts';
import { Command as CommandMessage } from '../gen/gfs/v1/oplog.ts';

/** A command as its record in the log. The compiler compares the core's shape with the generated one here. */
export function encodeCommand(command: Command): Uint8Array {
  return CommandMessage.encode(command).finish();
}

/** Fails with CORRUPT where the record is none of ours, or was written by a later version of the program. */
export function decodeCommand(record: Uint8Array): Command {
  let message: CommandMessage;
  try {
    message = CommandMessage.decode(record);
  } catch (cause) {
    throw new GfsError('CORRUPT', 'a command of the operation log cannot be read', { cause });
  }
  const { context, time, body } = message;
  if (context?.caller === undefined || time === undefined || body === undefined) {
    throw new GfsError('CORRUPT', 'a command of the operation log is incomplete, or of a later version');
  }
  // Numbers are ids by having been logged as such.
  return { context, time, body } as Command;
}
