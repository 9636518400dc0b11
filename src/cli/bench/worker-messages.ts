import type { ErrorCode } from '../../base/errors.ts';
import type { Done, FileSizes } from './arithmetic.ts';
import type { FigureName } from './figures.ts';
import type { Site } from './site.ts';

/** What a worker is told to do; it answers each. */
export type Task =
  /** To remove these, if it is the first worker and this process is killed. */
  | { readonly kind: 'adopt'; readonly index: number; readonly sites: readonly Site[] }
  | ({ readonly kind: 'begin' } & FileSizes)
  | { readonly kind: 'prepare'; readonly site: number; readonly figure: FigureName; readonly step: string }
  /** To receive a stream of bytes from another process, by way of this address of the machine. */
  | { readonly kind: 'prepareStream'; readonly host: string }
  | { readonly kind: 'go'; readonly timeMs: number };

/** `end`: at once. Whoever says it removes what was made. */
export type Order = Task | { readonly kind: 'end' };

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly done: Done }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };
