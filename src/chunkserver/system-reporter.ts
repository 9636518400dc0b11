import type { SystemReport } from '../rpc/messages.ts';

/** What is known of the machine. Implementations collect in the background: asking never waits. */
export interface SystemReporter {
  /** The newest report; undefined before the first one. */
  latest(): SystemReport | undefined;
  /** A report collected after this call (on demand); the newest one, with a problem noted, when that takes too long. */
  collect(): Promise<SystemReport>;
  close(): Promise<void>;
}
