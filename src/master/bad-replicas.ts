import { hex } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import type { ReportBadReplicaRequest } from '../rpc/messages.ts';

/** What readers and servers found wrong with replicas, counted for people; repair will start from here. */
export class BadReplicas {
  readonly #log: Logger;
  #count = 0;

  constructor(log: Logger) {
    this.#log = log.of('repair');
  }

  get count(): number {
    return this.#count;
  }

  report({ chunk, version, server, reason }: ReportBadReplicaRequest): void {
    this.#count += 1;
    this.#log.warn({ chunk: hex(chunk), version, server, reason }, 'a replica was reported as bad');
  }
}
