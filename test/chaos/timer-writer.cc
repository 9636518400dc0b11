// Appends numbered lines to a log while a timer of 100 Hz interrupts it: a write that fails with EINTR is done again, as
// every program does that knows signals. Notes in the manifest what it was told, as writer.ts does, and says at the end how
// often it was interrupted. Usage: timer-writer LOG MANIFEST NAME COUNT   (COUNT 0: for ever)
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks = 0;
static long interrupted = 0;

static void onTick(int) { ticks = ticks + 1; }

static bool again() {
  if (errno != EINTR) return false;
  interrupted += 1;
  return true;
}

static std::string lineOf(const char *name, long number) {
  return std::string(name) + " " + std::to_string(number) + " " + std::string(number * 37 % 200, '.') + "|\n";
}

static ssize_t append(int file, const std::string &text) {
  ssize_t written;
  do written = write(file, text.data(), text.size());
  while (written < 0 && again());
  return written;
}

static int openForAppending(const char *path) {
  int file;
  do file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
  while (file < 0 && again());
  return file;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  const char *log = arguments[1], *name = arguments[3];
  const long lines = atol(arguments[4]);
  const int manifest = openForAppending(arguments[2]);
  struct sigaction action = {};
  action.sa_handler = onTick; // Without SA_RESTART: calls are interrupted.
  sigaction(SIGALRM, &action, nullptr);
  const itimerval period = {{0, 10000}, {0, 10000}};
  setitimer(ITIMER_REAL, &period, nullptr);

  int file = -1;
  for (long number = 1; lines == 0 || number <= lines; number += 1) {
    while (file < 0) {
      file = openForAppending(log);
      if (file < 0) usleep(200000);
    }
    const std::string line = lineOf(name, number);
    const ssize_t written = append(file, line);
    std::string note = "append " + std::to_string(number) + "\n";
    if (written < 0) {
      note = "unknown " + std::to_string(number) + "\n";
      close(file);
      file = -1;
    } else if (static_cast<size_t>(written) != line.size()) {
      note = "problem line " + std::to_string(number) + " was written in part\n";
    }
    if (append(manifest, note) < 0) return 1;
  }
  printf("%d ticks, %ld interrupted calls\n", static_cast<int>(ticks), interrupted);
  return 0;
}
