#!/usr/bin/env -S node --initial-old-space-size=128
import { addAppend } from './commands/append.ts';
import { addBench } from './commands/bench.ts';
import { addCat } from './commands/cat.ts';
import { addChmod } from './commands/chmod.ts';
import { addChown } from './commands/chown.ts';
import { addComplete, addCompletion } from './commands/completion.ts';
import { addCp } from './commands/cp.ts';
import { addDu } from './commands/du.ts';
import { addEvents } from './commands/events.ts';
import { addGateway } from './commands/gateway.ts';
import { addGet } from './commands/get.ts';
import { addGetrange } from './commands/getrange.ts';
import { addLn } from './commands/ln.ts';
import { addLog } from './commands/log.ts';
import { addLs } from './commands/ls.ts';
import { addMkdir } from './commands/mkdir.ts';
import { addMv } from './commands/mv.ts';
import { addPut } from './commands/put.ts';
import { addRm } from './commands/rm.ts';
import { addServers } from './commands/servers.ts';
import { addStat } from './commands/stat.ts';
import { addStatus } from './commands/status.ts';
import { addSync } from './commands/sync.ts';
import { addTop } from './commands/top.ts';
import { addTouch } from './commands/touch.ts';
import { addTree } from './commands/tree.ts';
import { addUp } from './commands/up.ts';
import { exactArguments } from './files/exact-text.ts';
import { createProgram, runProgram } from './program.ts';
import { PACKAGE_ROOT } from './version.ts';

const gfs = createProgram('gfs', 'Run, look at and use a gfs file system.');
gfs.commandsGroup('The cluster:');
addUp(gfs);
addStatus(gfs);
addServers(gfs);
addTop(gfs);
addEvents(gfs);
addLog(gfs);
addGateway(gfs);
addBench(gfs);
gfs.commandsGroup('Look at files, without a mount:');
for (const add of [addLs, addTree, addStat, addDu, addCat, addGetrange]) add(gfs);
gfs.commandsGroup('Copy and append:');
for (const add of [addPut, addGet, addSync, addCp, addAppend]) add(gfs);
gfs.commandsGroup('Change what is there:');
for (const add of [addMkdir, addMv, addRm, addTouch, addLn, addChmod, addChown]) add(gfs);
gfs.commandsGroup('More:');
for (const add of [addCompletion, addComplete]) add(gfs);
gfs.addHelpText(
  'after',
  `
Paths in the cluster begin with / (or gfs:/, which sync needs); names that would
not be seen are shown as $'line\\nbreak' or $'\\xff', as bash and zsh read them,
and JSON has their bytes in a field that ends in Base64.

On several machines run gfs-master, gfs-chunkserver and gfs-mount; each has
--help. README.md, what there is to copy for them (src/deploy) and the contract
of the gRPC API (proto) are in
${PACKAGE_ROOT}

Example: gfs put -r photos /archive`,
);
gfs.addHelpText(
  'afterAll',
  '\nExit codes: 0, done; 1, something failed, as standard error says; 2, wrong call.',
);
await runProgram(gfs, exactArguments());
