// Close-to-open between two mounts whose kernels believe attributes for an hour: what was closed on one is what the other reads.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { always, between, TwoMounts } from './two-mounts.ts';

const ROUNDS = 100;
/** Several pages, and over the end of a chunk. */
const SIZE = 300_000;

const mounts = new TwoMounts(test);

const pattern = (round: number, size = SIZE) => Buffer.alloc(size, `round ${round}, `);

function differs(is: Buffer, should: Buffer): string | undefined {
  return is.equals(should) ? undefined : `${is.length} bytes, ${is.subarray(0, 20)} ... ${is.subarray(-20)}`;
}

between(
  mounts,
  'what was closed is read by whoever opens it, also with pages of it at hand',
  (t, { a, b }) => {
    fs.writeFileSync(join(a, 'f'), pattern(0));
    always(t, ROUNDS, (round) => {
      fs.readFileSync(join(b, 'f'));
      fs.writeFileSync(join(a, 'f'), pattern(round));
      return differs(fs.readFileSync(join(b, 'f')), pattern(round));
    });
  },
);

between(
  mounts,
  'an overwrite of the same length is read, too, also by whoever had it open',
  (t, { a, b }) => {
    fs.writeFileSync(join(a, 'f'), pattern(0));
    const before = fs.openSync(join(b, 'f'), 'r');
    try {
      always(t, ROUNDS, (round) => {
        const old = Buffer.alloc(SIZE);
        fs.readSync(before, old, 0, SIZE, 0);
        const writer = fs.openSync(join(a, 'f'), 'r+');
        fs.writeSync(writer, pattern(round), 0, SIZE, 0);
        fs.closeSync(writer);
        fs.readSync(before, old, 0, SIZE, 0);
        return differs(fs.readFileSync(join(b, 'f')), pattern(round)) ?? differs(old, pattern(round));
      });
    } finally {
      fs.closeSync(before);
    }
  },
);

/** What makes the kernel of the reader take times from an answer that is not a look. */
const CHANGES_OF_ATTRIBUTES: Readonly<Record<string, (path: string, openFile: number) => void>> = {
  'a mode': (_, openFile) => fs.fchmodSync(openFile, 0o640),
  'an owner': (_, openFile) => fs.fchownSync(openFile, 12, 34),
  times: (_, openFile) => fs.futimesSync(openFile, 1, 2),
  'its length, to the same': (_, openFile) => fs.ftruncateSync(openFile, SIZE),
  'a further name': (path) => fs.linkSync(path, `${path}.${process.hrtime.bigint()}`),
  'an extended attribute': (path) =>
    execFileSync('setfattr', ['-n', 'user.a', '-v', `${process.hrtime.bigint()}`, path]),
};

for (const [what, change] of Object.entries(CHANGES_OF_ATTRIBUTES)) {
  between(mounts, `who gives an open file ${what} reads what others wrote before`, (t, { a, b }) => {
    fs.writeFileSync(join(a, 'f'), pattern(0));
    const before = fs.openSync(join(b, 'f'), 'r+');
    try {
      always(t, 20, (round) => {
        const read = Buffer.alloc(SIZE);
        fs.readSync(before, read, 0, SIZE, 0);
        const writer = fs.openSync(join(a, 'f'), 'r+');
        fs.writeSync(writer, pattern(round), 0, SIZE, 0);
        fs.closeSync(writer);
        change(join(b, 'f'), before);
        fs.readSync(before, read, 0, SIZE, 0);
        return differs(read, pattern(round));
      });
    } finally {
      fs.closeSync(before);
    }
  });
}

between(mounts, 'what was synced is read before it is closed', (t, { a, b }) => {
  const writer = fs.openSync(join(a, 'f'), 'w');
  try {
    always(t, ROUNDS, (round) => {
      fs.writeSync(writer, pattern(round, 5000), 0, 5000, (round % 7) * 5000);
      fs.fsyncSync(writer);
      const read = fs.readFileSync(join(b, 'f')).subarray((round % 7) * 5000, ((round % 7) + 1) * 5000);
      return differs(read, pattern(round, 5000));
    });
  } finally {
    fs.closeSync(writer);
  }
});

between(mounts, 'two mounts that change a file by turns lose nothing', (t, { a, b }) => {
  fs.writeFileSync(join(a, 'f'), '');
  let whole = '';
  always(t, ROUNDS, (round) => {
    const place = round % 2 === 0 ? a : b;
    fs.appendFileSync(join(place, 'f'), `line ${round}\n`);
    whole += `line ${round}\n`;
    return differs(fs.readFileSync(join(round % 2 === 0 ? b : a, 'f')), Buffer.from(whole));
  });
});

between(mounts, 'a file that is cut and grows again shows zeros where it was cut', (t, { a, b }) => {
  always(t, ROUNDS, (round) => {
    fs.writeFileSync(join(a, 'f'), pattern(round, 10_000));
    fs.readFileSync(join(b, 'f'));
    fs.truncateSync(join(a, 'f'), 3000);
    fs.truncateSync(join(a, 'f'), 9000);
    const should = Buffer.concat([pattern(round, 10_000).subarray(0, 3000), Buffer.alloc(6000)]);
    return differs(fs.readFileSync(join(b, 'f')), should);
  });
});
