#!/usr/bin/env -S node --initial-old-space-size=128
import { addGateway } from './commands/gateway.ts';
import { addServers } from './commands/servers.ts';
import { addStat } from './commands/stat.ts';
import { addStatus } from './commands/status.ts';
import { addTop } from './commands/top.ts';
import { addUp } from './commands/up.ts';
import { createProgram, runProgram } from './program.ts';

const gfs = createProgram('gfs', 'Run, look at and use a gfs file system.');
addUp(gfs);
addStatus(gfs);
addServers(gfs);
addTop(gfs);
addStat(gfs);
addGateway(gfs);
await runProgram(gfs);
