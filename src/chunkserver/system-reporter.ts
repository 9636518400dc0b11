import type { SystemReport } from '../rpc/messages.ts';

/** What is known of the machine. Implementations collect in the background: asking never waits. */
export interface SystemReporter {
  /** The newest report; undefined before the first one. */
  latest(): SystemReport | undefined;
  /** A fresh report (on demand); what takes too long is missing in it, and named in `problems`. */
  collect(): Promise<SystemReport>;
  close(): Promise<void>;
}
