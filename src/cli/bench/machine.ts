import { hostname, loadavg } from 'node:os';

/** What the figures depend on. */
export interface Machine {
  readonly host: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly kernel: string;
  readonly node: string;
  readonly loadAverage: number;
}

/** Loaded when it is wanted: it takes its time. */
export async function machineFacts(): Promise<Machine> {
  const { default: si } = await import('systeminformation');
  const [cpu, memory, system] = await Promise.all([si.cpu(), si.mem(), si.osInfo()]);
  return {
    host: hostname(),
    cpu: [cpu.manufacturer, cpu.brand].filter((text) => text !== '').join(' '),
    cpuCount: cpu.cores,
    memoryBytes: memory.total,
    system: [system.distro, system.release].filter((text) => text !== '').join(' '),
    kernel: `${system.kernel} ${system.arch}`,
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
  };
}
