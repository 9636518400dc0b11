// Programs that people develop with.
import { withPrograms } from './programs.ts';

const GIT =
  'git -c user.name=t -c user.email=t@localhost -c init.defaultBranch=main -c protocol.file.allow=always';

withPrograms(['git'], 'git adds, commits, clones, packs and checks 200 files', async (_t, cluster) => {
  await cluster.shell(`mkdir repo && cd repo && ${GIT} init -q
    for d in $(seq 10); do mkdir d$d; for f in $(seq 20); do echo "$d $f" > d$d/f$f; done; done
    ${GIT} add . && ${GIT} commit -qm one && test -z "$(git status --porcelain)" && test $(git ls-files | wc -l) = 200`);
  await cluster.shell(`cd repo && echo more >> d1/f1 && ${GIT} rm -q d2/f2 && ${GIT} mv d3/f3 d4/moved && ${GIT} commit -qam two
    ${GIT} checkout -qb side HEAD~1 && echo side > d5/f5 && ${GIT} commit -qam three
    ${GIT} checkout -q main && ${GIT} merge -qm merged side && ${GIT} gc -q && ${GIT} fsck --strict`);
  await cluster.shell(`${GIT} clone -q --no-local repo clone && cd clone && ${GIT} fsck --strict && test -z "$(git status --porcelain)"
    test "$(git rev-parse HEAD)" = "$(git -C ../repo rev-parse HEAD)" && diff -r -x .git . ../repo`);
  await cluster.shell(`cd repo && ${GIT} worktree add -q ../tree side && test "$(cat ../tree/d5/f5)" = side
    cd ../tree && echo again >> d6/f6 && ${GIT} commit -qam four && test -z "$(git status --porcelain)"
    cd ../repo && ${GIT} worktree remove ../tree && test ! -e ../tree && ${GIT} log -1 --format=%s side | grep -qx four`);
});

withPrograms(['make', 'cc'], 'make -j4 builds a program, and the second time nothing', async (t, cluster) => {
  await cluster.shell(`mkdir c && cd c && for n in $(seq 20); do printf '#include "all.h"\\nint f%s(void) { return %s; }\\n' $n $n > f$n.c; done
    for n in $(seq 20); do echo "int f$n(void);"; done > all.h
    { printf '#include <stdio.h>\\n#include "all.h"\\nint main(void) { printf("%%d\\\\n", 0'; for n in $(seq 20); do printf ' + f%s()' $n; done; printf '); return 0; }\\n'; } > main.c
    printf 'OBJECTS := $(patsubst %%.c,%%.o,$(wildcard *.c))\\nprog: libf.a main.o\\n\\tcc -o $@ main.o libf.a\\nlibf.a: $(filter-out main.o,$(OBJECTS))\\n\\tar rcs $@ $^\\n%%.o: %%.c all.h\\n\\tcc -O1 -c -o $@ $<\\n' > Makefile`);
  await cluster.shell('cd c && make -j4 && test "$(./prog)" = 210');
  t.regex(await cluster.shell('cd c && make -j4'), /is up to date/);
  await cluster.shell(
    'cd c && make -q && touch f7.c && ! make -q && make -j4 && make -q && test "$(./prog)" = 210',
  );
});

withPrograms(['vim'], 'vim writes files with a swap file and a backup', async (t, cluster) => {
  const vim = "vim -Nu NONE -es -c 'set backup writebackup swapfile directory=. backupdir=. backupskip='";
  for (const copy of ['yes', 'no']) {
    await cluster.shell(`printf 'one\\ntwo\\n' > ${copy} && chmod 640 ${copy}`);
    await cluster.shell(
      `${vim} -c 'set backupcopy=${copy}' -c '%s/two/three/' -c 'w' -c 'normal Gofour' -c 'wq' ${copy}`,
    );
    t.is(await cluster.shell(`cat ${copy}; stat -c %a ${copy}`), 'one\nthree\nfour\n640\n');
    t.is(await cluster.shell(`cat ${copy}~`), 'one\nthree\n');
  }
  t.is(await cluster.shell('ls -A'), 'no\nno~\nyes\nyes~\n');
});
