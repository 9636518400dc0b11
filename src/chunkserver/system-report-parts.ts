import type { SystemReport } from '../rpc/messages.ts';

/** What `MachineReporter` and its child process tell each other. */
export interface CollectRequest {
  readonly id: number;
  readonly directories: readonly string[];
}

export interface MachinePart
  extends Pick<
    SystemReport,
    | 'memoryTotalBytes'
    | 'memoryAvailableBytes'
    | 'swapTotalBytes'
    | 'swapUsedBytes'
    | 'cpuCount'
    | 'cpuLoadPercent'
    | 'loadAverage'
    | 'networks'
    | 'problems'
  > {
  readonly kind: 'machine';
  readonly id: number;
}

export interface DisksPart extends Pick<SystemReport, 'disks' | 'problems'> {
  readonly kind: 'disks';
  readonly id: number;
}
