// SQLite on the mount, in each of its journal modes: what was committed is there, also after a writer was killed, and nothing
// else is.
import { withPrograms } from './programs.ts';

const MODES = ['delete', 'truncate', 'persist', 'wal'];

withPrograms(['sqlite3'], 'sqlite3 commits and recovers, in every journal mode', async (t, cluster) => {
  for (const mode of MODES) {
    const sqlite = `sqlite3 -cmd '.output /dev/null' -cmd 'pragma journal_mode = ${mode}' -cmd .output ${mode}.db`;
    // Large enough that rows leave the cache for the file before the end of the transaction.
    const fill = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
      insert into t select i, hex(randomblob(200)) from n`;
    await cluster.shell(`${sqlite} 'create table t(a integer primary key, b text); ${fill}'`);
    for (let row = 0; row < 20; row += 1) {
      await cluster.shell(`${sqlite} "update t set b = 'x${row}' where a = ${row + 1}"`);
    }
    // A transaction that a kill ends: its pages are in the file or the log already.
    await cluster.shell(`coproc SQLITE { exec ${sqlite}; }
      writer=$SQLITE_PID
      printf '%s\\n' "pragma cache_size = 10; begin; update t set b = 'lost';" '.shell touch ${mode}.written' >&"\${SQLITE[1]}"
      until test -e ${mode}.written; do sleep 0.01; done
      kill -9 $writer && ! wait $writer`);
    const found =
      await cluster.shell(`${sqlite} "pragma integrity_check; select count(*), sum(b = 'lost') from t;
      select count(*) from t where b glob 'x*'; pragma journal_mode"`);
    t.is(found, `ok\n2000|0\n20\n${mode}\n`);
  }
});

withPrograms(
  ['sqlite3'],
  'processes on one mount write one sqlite3 database in turns',
  async (t, cluster) => {
    for (const mode of ['delete', 'wal']) {
      await cluster.shell(`sqlite3 ${mode}.db 'pragma journal_mode = ${mode}; create table t(writer, n)'
      for writer in 1 2 3; do
        for n in $(seq 15); do echo ".timeout 60000
          insert into t values ($writer, $n);"; done | sqlite3 ${mode}.db & pids="\${pids:-} $!"
      done
      for pid in $pids; do wait $pid; done`);
      const found = await cluster.shell(
        `sqlite3 ${mode}.db 'pragma integrity_check; select count(*), count(distinct writer), max(n) from t'`,
      );
      t.is(found, 'ok\n45|3|15\n');
    }
  },
);
