// Makes system calls in a directory, which is its root, as it is told on its standard input: one call a line, one line of
// answer. A call is `SIDE UID NAME ARGUMENT...`. Texts are percent-encoded (`%` alone: the empty text), an answer is what the call
// returned, or `!` and the errno. Open files lie in slots; SIDE shifts their numbers, so that one process can stand in for
// two mounts' programs. What is read is told in full, but short, as runs (see `runs_of`); what is written can be told so.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int SLOT_COUNT = 16; // of each side
constexpr int SIDE_COUNT = 2;
constexpr size_t PIECE_BYTES = 1 << 20;

int slots[SLOT_COUNT * SIDE_COUNT];
int side = 0;
// What is in a FIFO stays on its machine: a plain directory cannot stand in for two of them.
bool keeps_fifos = false;
sigjmp_buf beyond_end;

class Arguments {
 public:
  explicit Arguments(const std::string &line) : words_(line) {}

  std::string text() {
    std::string word, result;
    words_ >> word;
    for (size_t at = 0; at < word.size(); at += 1) {
      if (word[at] != '%') {
        result += word[at];
      } else if (at + 2 < word.size()) {
        result += static_cast<char>(std::stoi(word.substr(at + 1, 2), nullptr, 16));
        at += 2;
      }
    }
    return result;
  }

  long number() {
    long value = 0;
    words_ >> value;
    return value;
  }

  int &slot() { return slots[side * SLOT_COUNT + number() % SLOT_COUNT]; }

 private:
  std::istringstream words_;
};

std::string encoded(const std::string &text) {
  std::string result;
  char code[4];
  for (unsigned char byte : text) {
    if (byte > ' ' && byte < 0x7f && byte != '%' && byte != '|') {
      result += static_cast<char>(byte);
    } else {
      snprintf(code, sizeof code, "%%%02x", byte);
      result += code;
    }
  }
  return result;
}

std::string failed() { return "!" + std::to_string(errno); }

std::string result(long value) { return value < 0 ? failed() : std::to_string(value); }

// What a write puts at an offset: other bytes for each tag, and after a shift by any power of two up to 16 MiB.
unsigned char pattern(long tag, long offset) {
  return static_cast<unsigned char>(tag + offset + (offset >> 8) * 7 + (offset >> 16) * 13 + (offset >> 24) * 17);
}

// The same bytes are the same runs: `LENGTHxBYTE` for equal bytes, `LENGTH@TAG` for a piece of a write's pattern.
std::string runs_of(const unsigned char *bytes, long length, long offset) {
  std::string result;
  long at = 0;
  while (at < length) {
    long begin = at;
    unsigned char tag = static_cast<unsigned char>(bytes[at] - pattern(0, offset + at));
    if (at + 1 < length && bytes[at] == bytes[at + 1]) {
      while (at < length && bytes[at] == bytes[begin]) at += 1;
      result += std::to_string(at - begin) + "x" + std::to_string(bytes[begin]) + ",";
    } else {
      while (at < length && bytes[at] == pattern(tag, offset + at)) at += 1;
      result += std::to_string(at - begin) + "@" + std::to_string(tag) + ",";
    }
  }
  return result;
}

// Where an append goes only the file knows, so all its bytes are the same.
std::vector<unsigned char> written(int file, long tag, long offset, long length) {
  bool appends = (fcntl(file, F_GETFL) & O_APPEND) != 0;
  std::vector<unsigned char> bytes(length);
  for (long at = 0; at < length; at += 1) bytes[at] = appends ? tag : pattern(tag, offset + at);
  return bytes;
}

char type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    default: return '?';
  }
}

// What every file system should tell alike: not the size of a directory.
std::string described(const struct stat &status) {
  char text[160];
  long size = S_ISDIR(status.st_mode) ? 0 : status.st_size;
  long device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ? status.st_rdev : 0;
  snprintf(text, sizeof text, "%c %04o links=%lu owner=%u:%u size=%ld device=%ld", type_of(status.st_mode),
           status.st_mode & 07777, static_cast<unsigned long>(status.st_nlink), status.st_uid, status.st_gid, size, device);
  return text;
}

std::string status_of(int outcome, const struct stat &status) { return outcome < 0 ? failed() : described(status); }

long long nanoseconds(const struct timespec &time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

std::string contents(int file, long size) {
  std::vector<unsigned char> bytes(size);
  long at = 0;
  while (at < size) {
    ssize_t count = pread(file, bytes.data() + at, std::min<long>(PIECE_BYTES, size - at), at);
    if (count < 0) return failed();
    if (count == 0) return "short by " + std::to_string(size - at);
    at += count;
  }
  return runs_of(bytes.data(), size, 0);
}

std::vector<std::string> names_in(const std::string &path, bool typed) {
  std::vector<std::string> names;
  DIR *directory = opendir(path.c_str());
  if (directory == nullptr) return {failed()};
  errno = 0;
  while (struct dirent *entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (!typed && (name == "." || name == "..")) continue;
    names.push_back(typed ? encoded(name) + ":" + type_of(DTTOIF(entry->d_type)) : name);
  }
  int error = errno;
  closedir(directory);
  if (error != 0) return {"!" + std::to_string(error)};
  std::sort(names.begin(), names.end());
  return names;
}

// Everything below a directory, an entry for each name: its path, what it is, what is in it, its mtime and ctime.
void walk(const std::string &path, std::map<ino_t, std::string> &first_names, std::string &answer) {
  for (const std::string &name : names_in(path, false)) {
    std::string child = path + "/" + name;
    struct stat status;
    answer += encoded(child) + " ";
    if (lstat(child.c_str(), &status) < 0) {
      answer += failed() + " |";
      continue;
    }
    answer += described(status) + " ";
    if (S_ISREG(status.st_mode)) {
      int file = open(child.c_str(), O_RDONLY);
      answer += file < 0 ? failed() : contents(file, status.st_size);
      close(file);
    } else if (S_ISLNK(status.st_mode)) {
      char target[4096];
      ssize_t length = readlink(child.c_str(), target, sizeof target);
      answer += length < 0 ? failed() : "-> " + encoded(std::string(target, length));
    }
    if (status.st_nlink > 1 && !S_ISDIR(status.st_mode)) {
      answer += " same as " + encoded(first_names.emplace(status.st_ino, child).first->second);
    }
    answer += " mtime=" + std::to_string(nanoseconds(status.st_mtim));
    answer += " ctime=" + std::to_string(nanoseconds(status.st_ctim)) + "|";
    if (S_ISDIR(status.st_mode)) walk(child, first_names, answer);
  }
}

std::string joined(const std::vector<std::string> &words) {
  std::string result;
  for (const std::string &word : words) result += word + " ";
  return result;
}

// What `use` says of a mapped piece, as far as the file reaches (nothing is promised of the rest of its last page), or what a
// program is told that touches pages behind it.
std::string mapped(int file, long offset, long length, int protection,
                   const std::function<std::string(unsigned char *, long)> &use) {
  struct stat status;
  if (fstat(file, &status) < 0) return failed();
  long rest = status.st_size - offset;
  if (rest <= 0 && offset < ((status.st_size + 4095) & ~4095L)) return "behind the end";
  if (rest > 0) length = std::min(length, rest);
  long begin = offset & ~4095L;
  size_t size = offset - begin + length;
  void *map = mmap(nullptr, size, protection, MAP_SHARED, file, begin);
  if (map == MAP_FAILED) return failed();
  std::string answer = "SIGBUS";
  if (sigsetjmp(beyond_end, 1) == 0) answer = use(static_cast<unsigned char *>(map) + (offset - begin), length);
  munmap(map, size);
  return answer;
}

struct timespec time_of(Arguments &arguments) {
  std::string text = arguments.text();
  if (text == "now") return {0, UTIME_NOW};
  if (text == "omit") return {0, UTIME_OMIT};
  return {std::stol(text), 123456789};
}

using Call = std::function<std::string(Arguments &)>;

const std::map<std::string, Call> CALLS = {
    {"mkdir",
     [](Arguments &a) {
       std::string path = a.text();
       return result(mkdir(path.c_str(), a.number()));
     }},
    {"mknod",
     [](Arguments &a) {
       std::string path = a.text();
       long mode = a.number();
       return result(mknod(path.c_str(), mode, a.number()));
     }},
    {"symlink",
     [](Arguments &a) {
       std::string target = a.text();
       return result(symlink(target.c_str(), a.text().c_str()));
     }},
    {"link",
     [](Arguments &a) {
       std::string from = a.text(), to = a.text();
       return result(linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), a.number()));
     }},
    // Of root alone: others would need the file's path in /proc, and there is none here.
    {"linkopen",
     [](Arguments &a) {
       int file = a.slot();
       return result(linkat(file, "", AT_FDCWD, a.text().c_str(), AT_EMPTY_PATH));
     }},
    {"unlink", [](Arguments &a) { return result(unlink(a.text().c_str())); }},
    {"rmdir", [](Arguments &a) { return result(rmdir(a.text().c_str())); }},
    {"rename",
     [](Arguments &a) {
       std::string from = a.text(), to = a.text();
       long flags = a.number();
       struct stat status;
       // A whiteout that ext4 takes back, for the new name is a directory with something in it, has moved its directory's mtime.
       if (lstat(to.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) flags &= ~RENAME_WHITEOUT;
       int outcome = renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
       if (outcome == 0 || errno != ESTALE) return result(outcome);
       // A directory that was moved elsewhere while something in it is open here: Linux cannot move its own idea of it while
       // it renames, only when it looks.
       lstat(from.c_str(), &status);
       lstat(to.c_str(), &status);
       return result(renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
     }},
    {"chmod",
     [](Arguments &a) {
       std::string path = a.text();
       return result(chmod(path.c_str(), a.number()));
     }},
    {"fchmod",
     [](Arguments &a) {
       int file = a.slot();
       return result(fchmod(file, a.number()));
     }},
    {"chown",
     [](Arguments &a) {
       std::string path = a.text();
       long owner = a.number();
       return result(lchown(path.c_str(), owner, a.number()));
     }},
    {"truncate",
     [](Arguments &a) {
       std::string path = a.text();
       return result(truncate(path.c_str(), a.number()));
     }},
    {"ftruncate",
     [](Arguments &a) {
       int file = a.slot();
       return result(ftruncate(file, a.number()));
     }},
    {"utimens",
     [](Arguments &a) {
       std::string path = a.text();
       struct timespec accessed = time_of(a), modified = time_of(a);
       struct timespec times[] = {accessed, modified};
       return result(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
     }},
    {"access",
     [](Arguments &a) {
       std::string path = a.text();
       return result(faccessat(AT_FDCWD, path.c_str(), a.number(), AT_EACCESS));
     }},
    {"open",
     [](Arguments &a) {
       int &slot = a.slot();
       std::string path = a.text();
       long flags = a.number(), mode = a.number();
       // A FIFO that nobody writes to would never open.
       int file = open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC, mode);
       struct stat status;
       if (file < 0 || fstat(file, &status) < 0) return failed();
       // What the calls on slots are for. They live on without a name.
       if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode) && !(S_ISFIFO(status.st_mode) && keeps_fifos)) {
         close(file);
         return std::string("no file");
       }
       if (slot >= 0) close(slot);
       slot = file;
       return std::string("0");
     }},
    {"close",
     [](Arguments &a) {
       int &slot = a.slot();
       int file = slot;
       slot = -1;
       return result(close(file));
     }},
    {"fsync", [](Arguments &a) { return result(fsync(a.slot())); }},
    {"fdatasync", [](Arguments &a) { return result(fdatasync(a.slot())); }},
    {"fstat",
     [](Arguments &a) {
       struct stat status;
       int outcome = fstat(a.slot(), &status);
       return status_of(outcome, status);
     }},
    {"stat",
     [](Arguments &a) {
       struct stat status;
       int outcome = stat(a.text().c_str(), &status);
       return status_of(outcome, status);
     }},
    {"lstat",
     [](Arguments &a) {
       struct stat status;
       int outcome = lstat(a.text().c_str(), &status);
       return status_of(outcome, status);
     }},
    {"readlink",
     [](Arguments &a) {
       char target[4096];
       ssize_t length = readlink(a.text().c_str(), target, sizeof target);
       return length < 0 ? failed() : encoded(std::string(target, length));
     }},
    {"readdir", [](Arguments &a) { return joined(names_in(a.text(), true)); }},
    {"pwrite",
     [](Arguments &a) {
       int file = a.slot();
       long offset = a.number(), length = a.number(), tag = a.number();
       return result(pwrite(file, written(file, tag, offset, length).data(), length, offset));
     }},
    {"append",
     [](Arguments &a) {
       int file = a.slot();
       std::vector<unsigned char> bytes(a.number());
       std::fill(bytes.begin(), bytes.end(), a.number());
       return result(write(file, bytes.data(), bytes.size()));
     }},
    {"pread",
     [](Arguments &a) {
       int file = a.slot();
       long offset = a.number(), length = a.number();
       std::vector<unsigned char> bytes(length);
       ssize_t count = pread(file, bytes.data(), length, offset);
       return count < 0 ? failed() : std::to_string(count) + " " + runs_of(bytes.data(), count, offset);
     }},
    // Where holes end, a copy may: it is gone on with until there is nothing more of what the source had at first, as `cp` does. A
    // copy of a file behind its own end would have no end.
    {"copy_range",
     [](Arguments &a) {
       int source = a.slot();
       off_t from = a.number();
       int target = a.slot();
       off_t to = a.number();
       long length = a.number(), done = 0;
       struct stat status;
       if (fstat(source, &status) == 0 && S_ISREG(status.st_mode)) {
         length = std::min(length, std::max<long>(status.st_size - from, 1));
       }
       while (done < length) {
         ssize_t count = copy_file_range(source, &from, target, &to, length - done, 0);
         if (count < 0) return failed();
         if (count == 0) break;
         done += count;
       }
       return std::to_string(done);
     }},
    {"mread",
     [](Arguments &a) {
       int file = a.slot();
       long offset = a.number(), length = a.number();
       std::vector<unsigned char> bytes(length);
       return mapped(file, offset, length, PROT_READ, [&](unsigned char *data, long there) {
         for (long at = 0; at < there; at += 1) bytes[at] = data[at];
         return runs_of(bytes.data(), there, offset);
       });
     }},
    {"mwrite",
     [](Arguments &a) {
       int file = a.slot();
       long offset = a.number(), length = a.number(), tag = a.number();
       return mapped(file, offset, length, PROT_READ | PROT_WRITE, [&](unsigned char *data, long there) {
         for (long at = 0; at < there; at += 1) data[at] = pattern(tag, offset + at);
         return std::string("0");
       });
     }},
    // For the comparison of everything: what was written is where others see it, the files stay open.
    {"settle",
     [](Arguments &) {
       std::string answer;
       for (int file : slots) {
         if (file < 0) continue;
         struct stat status;
         if (fsync(file) < 0 && errno != EINVAL) answer += failed();
         answer += fstat(file, &status) < 0 ? failed() : described(status) + " ";
         if (S_ISREG(status.st_mode) && (fcntl(file, F_GETFL) & O_ACCMODE) != O_WRONLY) answer += contents(file, status.st_size);
         answer += "|";
       }
       return answer;
     }},
    // Close-to-open: from here on, what was closed or synced elsewhere is what files hold.
    {"look",
     [](Arguments &) {
       for (const std::string &name : names_in(".", false)) close(open(name.c_str(), O_RDONLY | O_NONBLOCK));
       return std::string("0");
     }},
    {"walk",
     [](Arguments &) {
       std::map<ino_t, std::string> first_names;
       struct stat status;
       int outcome = lstat(".", &status);
       std::string answer = ". " + status_of(outcome, status) + "|";
       walk(".", first_names, answer);
       return answer;
     }},
};

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
    auto call = CALLS.find(arguments.text());
    if (side < 0 || side >= SIDE_COUNT || call == CALLS.end()) {
      std::cerr << "cannot do: " << line << std::endl;
      return 2;
    }
    setfsgid(user);
    setfsuid(user);
    std::string answer = call->second(arguments);
    setfsuid(0);
    setfsgid(0);
    std::cout << answer << "\n";
    if (std::cin.rdbuf()->in_avail() <= 0) std::cout.flush();
  }
  return 0;
}
