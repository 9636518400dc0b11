/** A bug: what the program itself guarantees does not hold. Ends the process; never caught to go on. */
export class AssertionError extends Error {
  override name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The end of a `switch` over a union: the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unexpected ${JSON.stringify(value)}`);
}

/** The value, which by the reason given cannot be missing here. */
export function must<T>(value: T | undefined | null, reason: string): T {
  if (value === undefined || value === null) throw new AssertionError(reason);
  return value;
}
