// PostgreSQL on the mount: what it said was committed is there after kill -9 of all of it, and it finds nothing wrong.
import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { withPrograms } from './programs.ts';

/** Debian has its programs here, not on the path. */
const VERSIONS = '/usr/lib/postgresql';
const BIN = ((versions: readonly string[]) => {
  const newest = Math.max(...versions.map(Number).filter(Number.isFinite));
  return versions.length === 0 ? '' : join(VERSIONS, String(newest), 'bin/');
})(existsSync(VERSIONS) ? readdirSync(VERSIONS) : []);
const PROGRAMS = ['initdb', 'pg_ctl', 'psql', 'pgbench', 'pg_amcheck', 'pg_checksums'].map(
  (program) => `${BIN}${program}`,
);

withPrograms(
  [...PROGRAMS, 'setpriv', 'pgrep'],
  'PostgreSQL commits, and recovers from kill -9',
  async (t, cluster) => {
    // The server does not run as root: its user has to get to the mount, and to the socket beside it.
    chmodSync(cluster.directory, 0o755);
    const socket = join(cluster.directory, 'socket');
    const data = join(cluster.mount, 'pg');
    await cluster.shell(`mkdir pg && mkdir ${socket} && chown nobody pg ${socket} && chmod 700 pg`);
    const shell = (script: string) =>
      cluster.shell(`export PATH=${BIN}:$PATH PGHOST=${socket} PGUSER=admin PGDATABASE=postgres PGDATA=${data}
      setpriv --reuid=nobody --clear-groups bash -euo pipefail -c '${script}'`);
    const start = `pg_ctl -s -w -t 120 -l ${socket}/log -o "-k ${socket} -c listen_addresses=" start`;

    await shell(
      'initdb -U admin -A trust --no-locale -E UTF8 --data-checksums --no-sync --wal-segsize=1 >/dev/null',
    );
    await shell(
      `${start} && psql -qc "create table t (id serial primary key, text text); create index on t (text)"`,
    );
    await shell(`echo "insert into t (text) values (md5(random()::text));" > ${socket}/insert
    pgbench -n -c 4 -t 25 -f ${socket}/insert | grep -q "actually processed: 100/100"`);
    // One more, whose rows are on their way to the files when the kill comes.
    await shell(`coproc PSQL { exec psql -q >/dev/null; }; writer=$PSQL_PID
    echo "begin; insert into t (text) select repeat(chr(120), 4) from generate_series(1, 2000); checkpoint;
    \\! touch ${socket}/written" >&"\${PSQL[1]}"
    until test -e ${socket}/written; do sleep 0.05; done
    postmaster=$(head -1 $PGDATA/postmaster.pid); all="$postmaster $(pgrep -P $postmaster)"
    kill -9 $writer $all; for pid in $all; do while kill -0 $pid 2>/dev/null; do sleep 0.05; done; done; ! wait $writer`);
    await shell(start);
    t.is(
      await shell('psql -Atc "select count(*), count(*) filter (where length(text) < 32) from t"'),
      '100|0\n',
    );
    await shell(
      'pg_amcheck --install-missing --heapallindexed && pg_ctl -s -w -m fast stop && pg_checksums --check >/dev/null',
    );
  },
);
