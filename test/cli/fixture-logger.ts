// Logs more than a logger keeps for later, then says on standard output that it goes on; logger.test.ts runs it.
import { createLogger } from '../../src/cli/logger.ts';

const log = createLogger({ name: 'fixture', level: 'info', pretty: false });
for (let index = 0; index < 3000; index += 1) log.warn({ index, filler: 'x'.repeat(1000) }, 'a line');
process.stdout.write('goes on\n');
