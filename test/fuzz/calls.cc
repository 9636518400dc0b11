// Makes system calls in a directory, which is its root, as it is told on its standard input: one call a line, one line of
// answer. A call is `SIDE UID NAME ARGUMENT...`. Texts are percent-encoded (`%` alone: the empty text), an answer is how many
// microseconds it took, and what the call returned, or `!` and the errno. Open files lie in slots; SIDE shifts their numbers, so that one process can stand in for
// two mounts' programs. What is read is told in full, but short, as runs (see `runs_of`); what is written can be told so.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <string>

#include "calls/attributes.h"
#include "calls/call.h"
#include "calls/data.h"
#include "calls/names.h"
#include "calls/state.h"
#include "calls/xattrs.h"

namespace {

const Call *found(const std::string &name) {
  for (const Calls *calls : {&NAME_CALLS, &ATTRIBUTE_CALLS, &DATA_CALLS, &XATTR_CALLS, &STATE_CALLS}) {
    auto call = calls->find(name);
    if (call != calls->end()) return &call->second;
  }
  return nullptr;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3 || chdir(argv[1]) < 0 || chroot(".") < 0) {
    perror("calls DIRECTORY SIDES");
    return 2;
  }
  keeps_fifos = std::stoi(argv[2]) == 1;
  std::ios::sync_with_stdio(false);
  std::fill(std::begin(slots), std::end(slots), -1);
  struct sigaction jump = {};
  jump.sa_handler = [](int) { siglongjmp(beyond_end, 1); };
  sigaction(SIGBUS, &jump, nullptr);
  // The callers are users of no other group.
  setgroups(0, nullptr);
  umask(0);
  std::string line;
  while (std::getline(std::cin, line)) {
    Arguments arguments(line);
    side = static_cast<int>(arguments.number());
    uid_t user = static_cast<uid_t>(arguments.number());
    const Call *call = found(arguments.text());
    if (side < 0 || side >= SIDE_COUNT || call == nullptr) {
      std::cerr << "cannot do: " << line << std::endl;
      return 2;
    }
    // Without root's privileges: of those that have nothing to do with files, too, some decide about extended attributes.
    if (setegid(user) < 0 || seteuid(user) < 0) return 2;
    auto begin = std::chrono::steady_clock::now();
    std::string answer = (*call)(arguments);
    std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
    if (seteuid(0) < 0 || setegid(0) < 0) return 2;
    std::cout << std::lround(taken.count()) << " " << answer << "\n";
    if (std::cin.rdbuf()->in_avail() <= 0) std::cout.flush();
  }
  return 0;
}
