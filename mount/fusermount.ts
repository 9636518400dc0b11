import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { receiveDescriptor, socketPair } from '../native/index.ts';
import { GfsError, messageOf } from '../src/base/errors.ts';

const FUSERMOUNT = 'fusermount3';
/** Which of fusermount3's descriptors is the socket that it sends the mounted /dev/fuse over. */
const SOCKET_VARIABLE = '_FUSE_COMMFD';
const SOCKET_FD = 3;

/** Mounts for a user who may not: fusermount3 is set-uid root, and sends the mounted device back. */
export async function mountWithFusermount(path: string, options: string): Promise<number> {
  const { ours, theirs } = socketPair();
  try {
    await run(['-o', options, '--', path], theirs);
    const fd = receiveDescriptor(ours);
    if (fd === undefined) throw new GfsError('IO_ERROR', `${FUSERMOUNT} mounted ${path} but sent no device`);
    return fd;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** Lazily: it works while files are open there, too. */
export async function unmountWithFusermount(path: string): Promise<void> {
  await run(['-u', '-z', '-q', '--', path]);
}

function run(argv: readonly string[], socket?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(FUSERMOUNT, argv, {
      stdio: ['ignore', 'ignore', 'pipe', ...(socket === undefined ? [] : [socket])],
      env: { ...process.env, [SOCKET_VARIABLE]: String(SOCKET_FD) },
    });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.once('error', (error) => {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const text = missing
        ? `${FUSERMOUNT} is missing, which mounts for users other than root: install it (Debian, Ubuntu: apt install fuse3; Fedora: dnf install fuse3)`
        : `cannot run ${FUSERMOUNT}: ${messageOf(error)}`;
      reject(new GfsError('UNAVAILABLE', text, { cause: error }));
    });
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(new GfsError('NOT_PERMITTED', complaint.trim() || `${FUSERMOUNT} ended: ${code ?? signal}`));
    });
  });
}
