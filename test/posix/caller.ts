import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';

/** Who makes calls. `mate` has ann's group besides her own. */
export const PEOPLE = {
  root: { uid: 0, gid: 0, groups: [] },
  ann: { uid: 64_001, gid: 64_001, groups: [] },
  bob: { uid: 64_002, gid: 64_002, groups: [] },
  mate: { uid: 64_003, gid: 64_003, groups: [64_001] },
} as const;
export type Person = keyof typeof PEOPLE;
export type Answer = { readonly errno: string } | { readonly values: string };

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A process that makes system calls as somebody (`caller.cc`), one after another. */
export class Caller {
  readonly #process: ChildProcess;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #said = '';
  #ended: Error | undefined;

  constructor(program: string, person: Person) {
    const { uid, gid, groups } = PEOPLE[person];
    const child = spawn(program, [uid, gid, ...groups].map(String), { stdio: 'pipe' });
    this.#process = child;
    child.stderr.on('data', (text: Buffer) => {
      this.#said += text.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) =>
      this.#waiting.shift()?.resolve(parsed(line)),
    );
    child.stdin.on('error', () => undefined);
    child.once('close', () => {
      this.#ended = new Error(this.#said.trim() || `the calls of ${person} ended`);
      for (const { reject } of this.#waiting) reject(this.#ended);
    });
  }

  call(...line: readonly string[]): Promise<Answer> {
    return this.send(line.map(encoded).join(' '));
  }

  /** As above; the arguments are encoded already. */
  send(line: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#waiting.push({ resolve, reject });
      this.#process.stdin?.write(`${line}\n`);
    });
  }

  end(): void {
    this.#process.kill('SIGKILL');
  }
}

/** As `caller.cc` wants its arguments. */
export function encoded(text: string): string {
  if (text === '') return '%';
  return text.replace(
    /[^!-$&-~]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}

function parsed(line: string): Answer {
  const [kind, ...rest] = line.split(' ');
  if (kind === 'ok') return { values: rest.join(' ') };
  const number = Number(rest[0]);
  return { errno: ERRNO_NAMES.get(number) ?? `errno ${number}` };
}
