/** Folders of files that take minutes: begun first, so that the short ones fill what is left at the end. */
const LONG = ['/test/sim/', '/test/e2e/'];

function rank(file) {
  const index = LONG.findIndex((folder) => file.includes(folder));
  return index < 0 ? LONG.length : index;
}

export default {
  files: ['dist/test/**/*.test.js'],
  timeout: '120s',
  workerThreads: false,
  // More than there are processors: many files wait for daemons, or for time to pass.
  concurrency: 3,
  environmentVariables: { UV_THREADPOOL_SIZE: '8' },
  sortTestFiles: (one, other) => rank(one) - rank(other) || one.localeCompare(other),
};
