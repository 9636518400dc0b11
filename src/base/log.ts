/** Lines for people and their tools: one event each, with fields. (The master's durable history is the *oplog*.) */
export interface Logger {
  /** Whether `debug` says anything: for lines that would cost something where there are many. */
  readonly debugs: boolean;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** That of a part of the program: its lines name it in the field `component`, and it has a level of its own. */
  of(component: Component): Logger;
}

export type LogFields = Readonly<Record<string, unknown>>;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a person may want to hear more of, or less: parts of programs, and what their lines are about. */
export const COMPONENTS = {
  daemon: 'start, end and health of the process',
  rpc: 'calls that others make here (each, at debug), connections',
  calls: 'calls that this process makes (each, at debug)',
  metadata: 'operation log, checkpoints, recovery',
  servers: 'chunkservers that come, report and go',
  sessions: 'clients that come, stay in touch and go',
  news: 'what clients are told of changes by others',
  files: 'files that are opened, closed, read and written',
  locks: 'flock and fcntl locks',
  raise: 'versions of chunks, and who is their primary',
  share: 'chunks that several files share, clones',
  repair: 'copies that are made, bad blocks, strays',
  garbage: 'what is deleted for good',
  primary: 'orders to members, reconciling',
  storage: 'replicas on the disk',
  mount: 'the kernel and the mount point',
} as const;
export type Component = keyof typeof COMPONENTS;

const OF_CLIENTS = ['daemon', 'rpc', 'calls', 'sessions', 'news', 'files', 'locks'] as const;

/** The parts of each daemon, by the name in its lines. */
export const COMPONENTS_OF = {
  'gfs-master': [
    ...(['daemon', 'rpc', 'calls', 'metadata', 'servers', 'sessions', 'news', 'files', 'locks'] as const),
    ...(['raise', 'share', 'repair', 'garbage'] as const),
  ],
  'gfs-chunkserver': ['daemon', 'rpc', 'calls', 'servers', 'raise', 'primary', 'repair', 'storage'],
  'gfs gateway': OF_CLIENTS,
  'gfs-mount': [...OF_CLIENTS, 'mount'],
} as const satisfies Readonly<Record<string, readonly Component[]>>;
export type DaemonName = keyof typeof COMPONENTS_OF;

export const silentLogger: Logger = {
  debugs: false,
  debug() {},
  info() {},
  warn() {},
  error() {},
  of: () => silentLogger,
};
