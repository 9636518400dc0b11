export { preadNowait } from './file-io.ts';
export { flock } from './flock.ts';
