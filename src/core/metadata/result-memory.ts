import { assert } from '../../base/assert.ts';
import type { SessionId } from '../../base/ids.ts';
import { type Result, refuse } from '../../base/result.ts';
import { RowWriter } from './codec.ts';
import type { Command, CommandCase, CommandContext, CommandResult } from './commands.ts';
import { readAcknowledged, readResult, writeResult } from './result-codec.ts';
import type { Tables } from './tables.ts';

/** More answers than any client leaves unacknowledged; beyond it the oldest is forgotten. */
export const RESULTS_PER_SESSION_MAX = 1024;

/**
 * The last answers of each session, so that a retry after a lost reply gets its first answer. Rows are the truth; kept
 * beside them is only which numbers there are, and up to where answers have arrived. Each row carries that
 * bound with it, so it is known again after a restart.
 */
export class ResultMemory {
  readonly #tables: Tables;
  readonly #sessions = new Map<SessionId, SessionResults>();
  readonly #writer = new RowWriter();

  constructor(tables: Tables) {
    this.#tables = tables;
    for (const { session } of tables.sessions())
      this.#sessions.set(session, { numbers: [], acknowledged: 0 });
    tables.eachResult((session, number, row) => {
      const memory = this.#sessions.get(session);
      assert(memory !== undefined, 'results belong to a session');
      memory.numbers.push(number);
      memory.acknowledged = Math.max(memory.acknowledged, readAcknowledged(row));
    });
  }

  knows(session: SessionId): boolean {
    return this.#sessions.has(session);
  }

  begin(session: SessionId): void {
    this.#sessions.set(session, { numbers: [], acknowledged: 0 });
  }

  end(session: SessionId): void {
    for (const number of this.#sessions.get(session)?.numbers ?? [])
      this.#tables.removeResult(session, number);
    this.#sessions.delete(session);
  }

  /** The first answer, or a refusal of a context that cannot be answered; undefined: the command is new. */
  recall(context: CommandContext, $case: CommandCase): Result<CommandResult> | undefined {
    if (context.session === 0) return undefined;
    const memory = this.#sessions.get(context.session);
    if (memory === undefined) return refuse('NO_SUCH_SESSION', `no session ${context.session}`);
    if (context.number > memory.acknowledged) {
      const row = this.#tables.result(context.session, context.number);
      return row && readResult(row, $case);
    }
    return refuse(
      'INVALID_ARGUMENT',
      `command ${context.number} of session ${context.session} was answered long ago`,
    );
  }

  /** Whether there is an answer to this command that may not have arrived. */
  holds(session: SessionId | 0, number: number): boolean {
    return session !== 0 && this.#sessions.get(session)?.numbers.includes(number) === true;
  }

  remember({ context, body }: Command, result: Result<CommandResult>): void {
    const { session, number } = context;
    const memory = session === 0 ? undefined : this.#sessions.get(session);
    // A session's own end leaves nobody to remember for.
    if (session === 0 || memory === undefined) return;
    // What was not answered yet cannot have arrived, whatever the client says.
    this.#forget(session, memory, Math.min(context.acknowledged, number - 1));
    // It was decided by what somebody else changed in between: whoever gives the command looks again, and gives it anew.
    if (!result.ok && result.error.code === 'VERSION_MISMATCH') return;
    if (memory.numbers.length >= RESULTS_PER_SESSION_MAX) {
      const oldest = memory.numbers[0] as number;
      if (number < oldest) return;
      this.#forget(session, memory, oldest);
    }
    const row = writeResult(this.#writer.begin(), {
      acknowledged: memory.acknowledged,
      $case: body.$case,
      result,
    });
    this.#tables.putResult(session, number, row.finish());
    insertSorted(memory.numbers, number);
  }

  #forget(session: SessionId, memory: SessionResults, acknowledged: number): void {
    if (acknowledged <= memory.acknowledged) return;
    memory.acknowledged = acknowledged;
    while (memory.numbers.length > 0 && (memory.numbers[0] as number) <= acknowledged) {
      this.#tables.removeResult(session, memory.numbers.shift() as number);
    }
  }
}

interface SessionResults {
  /** Rows that are there, in order. */
  readonly numbers: number[];
  /** Answers up to here have arrived, or are given up: their commands are not taken again. */
  acknowledged: number;
}

/** Numbers come nearly in order: the place is at the end or close to it. */
function insertSorted(numbers: number[], number: number): void {
  let index = numbers.length;
  while (index > 0 && (numbers[index - 1] as number) > number) index -= 1;
  numbers.splice(index, 0, number);
}
