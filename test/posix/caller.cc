// Makes the system calls that it reads, one a line, as somebody: UID GID [GROUP...] are its arguments.
//
//   in:   CALL ARGUMENT...     what is no printing ASCII is written %XX in an argument, an empty one is a lone "%"
//   out:  ok VALUE...          or "error NUMBER", the call's errno
//
// Open files, directories and sockets have names, given by who asks. "reset DIRECTORY" closes them all and begins anew there.
#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <grp.h>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using Arguments = std::vector<std::string>;

static std::map<std::string, int> files;
static std::map<std::string, DIR *> directories;
static std::vector<std::string> bound;

struct Failed {
  int number;
};

// --- text ---

static std::string decoded(const std::string &text) {
  std::string bytes;
  if (text == "%") return bytes;
  for (size_t at = 0; at < text.size(); at += 1) {
    if (text[at] != '%') {
      bytes += text[at];
    } else {
      bytes += static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
      at += 2;
    }
  }
  return bytes;
}

static std::string encoded(const std::string &bytes) {
  if (bytes.empty()) return "%";
  std::string text;
  for (const unsigned char byte : bytes) {
    char hex[4];
    snprintf(hex, sizeof hex, "%%%02X", byte);
    text += byte > ' ' && byte < 0x7f && byte != '%' ? std::string(1, static_cast<char>(byte)) : hex;
  }
  return text;
}

static Arguments split(const std::string &text, char separator) {
  Arguments parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

static long long number(const std::string &text) { return std::stoll(text); }
static mode_t octal(const std::string &text) { return static_cast<mode_t>(std::stoul(text, nullptr, 8)); }
static id_t idOf(const std::string &text) { return text == "-" ? static_cast<id_t>(-1) : static_cast<id_t>(number(text)); }

/** A list of names with commas between, as the or of what they stand for. */
static int bits(const std::string &text, const std::map<std::string, int> &known) {
  int value = 0;
  for (const auto &name : split(text, ',')) value |= known.at(name);
  return value;
}

static int openFlags(const std::string &text) {
  return bits(text, {{"rdonly", O_RDONLY}, {"wronly", O_WRONLY}, {"rdwr", O_RDWR}, {"creat", O_CREAT},
                     {"excl", O_EXCL}, {"trunc", O_TRUNC}, {"append", O_APPEND}, {"directory", O_DIRECTORY},
                     {"nofollow", O_NOFOLLOW}, {"path", O_PATH}, {"nonblock", O_NONBLOCK}, {"sync", O_SYNC},
                     {"noatime", O_NOATIME}, {"tmpfile", O_TMPFILE}});
}

static timespec timeOf(const std::string &text) {
  if (text == "now") return {0, UTIME_NOW};
  if (text == "omit") return {0, UTIME_OMIT};
  const auto dot = text.find('.');
  return {static_cast<time_t>(number(text.substr(0, dot))),
          dot == std::string::npos ? 0 : static_cast<long>(number(text.substr(dot + 1)))};
}

// --- answers ---

static long long checked(long long result) {
  if (result < 0) throw Failed{errno};
  return result;
}
static std::string done(long long result) { return checked(result), std::string(); }
static std::string told(long long result) { return std::to_string(checked(result)); }

static int file(const std::string &name) { return name == "cwd" ? AT_FDCWD : files.at(name); }
static std::string pathOf(const std::string &name) { return "/proc/self/fd/" + std::to_string(file(name)); }
static std::string keep(const std::string &name, int descriptor) {
  checked(descriptor);
  if (const auto old = files.find(name); old != files.end()) close(old->second);
  files[name] = descriptor;
  return "";
}

static std::string attribute(const struct statx &x, const std::string &field) {
  const auto time = [](const statx_timestamp &t) { return std::to_string(t.tv_sec * 1000000000LL + t.tv_nsec); };
  char mode[16];
  snprintf(mode, sizeof mode, "%o", x.stx_mode & 07777);
  if (field == "type") {
    switch (x.stx_mode & S_IFMT) {
      case S_IFREG: return "file";
      case S_IFDIR: return "dir";
      case S_IFLNK: return "symlink";
      case S_IFIFO: return "fifo";
      case S_IFSOCK: return "socket";
      case S_IFCHR: return "char";
      default: return "block";
    }
  }
  if (field == "mode") return mode;
  if (field == "nlink") return std::to_string(x.stx_nlink);
  if (field == "uid") return std::to_string(x.stx_uid);
  if (field == "gid") return std::to_string(x.stx_gid);
  if (field == "size") return std::to_string(x.stx_size);
  if (field == "blocks") return std::to_string(x.stx_blocks);
  if (field == "ino") return std::to_string(x.stx_ino);
  if (field == "dev") return std::to_string(x.stx_dev_major) + ":" + std::to_string(x.stx_dev_minor);
  if (field == "rdev") return std::to_string(x.stx_rdev_major) + ":" + std::to_string(x.stx_rdev_minor);
  if (field == "atime") return time(x.stx_atime);
  if (field == "mtime") return time(x.stx_mtime);
  if (field == "ctime") return time(x.stx_ctime);
  if (field == "btime") return x.stx_mask & STATX_BTIME ? time(x.stx_btime) : "none";
  throw std::out_of_range(field);
}

static std::string status(int directory, const std::string &path, int flags, const Arguments &a) {
  struct statx x;
  checked(statx(directory, path.c_str(), flags, STATX_BASIC_STATS | STATX_BTIME, &x));
  std::string text;
  for (size_t at = 1; at < a.size(); at += 1) text += (text.empty() ? "" : " ") + attribute(x, a[at]);
  return text;
}

static std::string readInto(const std::string &length, const std::function<ssize_t(char *, size_t)> &work) {
  std::string bytes(static_cast<size_t>(number(length)), '\0');
  bytes.resize(static_cast<size_t>(checked(work(bytes.data(), bytes.size()))));
  return encoded(bytes);
}

// --- longer calls ---

static std::string nextName(DIR *directory) {
  errno = 0;
  const dirent *entry = readdir(directory);
  if (entry == nullptr && errno != 0) throw Failed{errno};
  return entry == nullptr ? "end" : encoded(entry->d_name);
}

/** OFFSET/NAME of each entry that the next system call with a buffer of this size gives. */
static std::string nextEntries(int directory, size_t size) {
  std::vector<char> buffer(size);
  const long length = checked(syscall(SYS_getdents64, directory, buffer.data(), size));
  std::string text;
  for (long at = 0; at < length;) {
    // struct linux_dirent64: ino u64, off s64, reclen u16, type u8, name with a zero byte
    int64_t offset;
    uint16_t record;
    memcpy(&offset, &buffer[at + 8], sizeof offset);
    memcpy(&record, &buffer[at + 16], sizeof record);
    text += (text.empty() ? "" : " ") + std::to_string(offset) + "/" + encoded(&buffer[at + 19]);
    at += record;
  }
  return text.empty() ? "end" : text;
}

static std::string listed(const std::string &path) {
  DIR *directory = opendir(path.c_str());
  if (directory == nullptr) throw Failed{errno};
  Arguments names;
  int failure = 0;
  try {
    for (std::string name; (name = nextName(directory)) != "end";)
      if (name != "." && name != "..") names.push_back(name);
  } catch (const Failed &failed) {
    failure = failed.number;
  }
  closedir(directory);
  if (failure != 0) throw Failed{failure};
  std::sort(names.begin(), names.end());
  std::string text;
  for (const auto &name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

static void removeBelow(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return;
  const int opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (opened >= 0) {
    DIR *directory = fdopendir(opened);
    for (const dirent *entry; (entry = readdir(directory)) != nullptr;)
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) removeBelow(opened, entry->d_name);
    closedir(directory);
  }
  checked(unlinkat(parent, name, AT_REMOVEDIR));
}

static std::string address(const std::string &path, const std::function<int(const sockaddr *, socklen_t)> &use) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  strncpy(name.sun_path, path.c_str(), sizeof name.sun_path - 1);
  return done(use(reinterpret_cast<sockaddr *>(&name), sizeof name));
}

/** The program's exit code, or the errno of execve(2). */
static std::string executed(const Arguments &a) {
  int channel[2];
  checked(pipe2(channel, O_CLOEXEC));
  const pid_t child = fork();
  if (child == 0) {
    std::vector<char *> argv;
    for (const auto &argument : a) argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    const int failure = errno;
    if (write(channel[1], &failure, sizeof failure) < 0) _exit(126);
    _exit(127);
  }
  close(channel[1]);
  int failure = 0, code = 0;
  const ssize_t count = read(channel[0], &failure, sizeof failure);
  close(channel[0]);
  waitpid(child, &code, 0);
  if (count > 0) throw Failed{failure};
  return std::to_string(WEXITSTATUS(code));
}

/** Waits until files that are changed from now on get later times than those of before, be they counted in milliseconds. */
static std::string tick() {
  timespec before, now;
  clock_gettime(CLOCK_REALTIME, &before);
  const auto us = [](const timespec &t) { return t.tv_sec * 1000000LL + t.tv_nsec / 1000; };
  do {
    const timespec pause = {0, 1000000};
    nanosleep(&pause, nullptr);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
  } while (us(now) - us(before) <= 1000);
  return "";
}

static std::string perform(const Arguments &line);

/** The call again and again under a timer's signals; how often it failed with EINTR. */
static std::string storm(const Arguments &a) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr); // Without SA_RESTART: what is interruptible is interrupted.
  const itimerval period = {{0, 300}, {0, 300}}, none = {};
  setitimer(ITIMER_REAL, &period, nullptr);
  int interrupted = 0;
  for (long long turn = 0; turn < number(a[0]); turn += 1) {
    Arguments line(a.begin() + 1, a.end());
    for (auto &argument : line)
      if (const auto at = argument.find('#'); at != std::string::npos) argument.replace(at, 1, std::to_string(turn));
    try {
      perform(line);
    } catch (const Failed &failed) {
      if (failed.number == EINTR) interrupted += 1;
    }
  }
  setitimer(ITIMER_REAL, &none, nullptr);
  return std::to_string(interrupted);
}

/** A new file of exactly this mode, with this in it. */
static std::string created(const std::string &path, mode_t mode, const std::string &bytes) {
  const int descriptor = static_cast<int>(checked(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, mode)));
  const bool wrote = fchmod(descriptor, mode) == 0 && write(descriptor, bytes.data(), bytes.size()) >= 0;
  const int failure = errno;
  if (close(descriptor) != 0) throw Failed{errno};
  if (!wrote) throw Failed{failure};
  return "";
}

static std::string contents(const std::string &path) {
  const int descriptor = static_cast<int>(checked(open(path.c_str(), O_RDONLY)));
  char bytes[4096];
  const ssize_t length = read(descriptor, bytes, sizeof bytes);
  const int failure = errno;
  close(descriptor);
  if (length < 0) throw Failed{failure};
  return encoded(std::string(bytes, static_cast<size_t>(length)));
}

static std::string mapped(const Arguments &a) {
  const size_t length = static_cast<size_t>(number(a[2]));
  const int protection = a[1] == "private" || a[1] == "shared" ? PROT_READ | PROT_WRITE : PROT_READ;
  char *memory = static_cast<char *>(
      mmap(nullptr, length, protection, a[1] == "private" ? MAP_PRIVATE : MAP_SHARED, file(a[0]), 0));
  if (memory == MAP_FAILED) throw Failed{errno};
  std::string found(memory, std::min<size_t>(length, 16));
  if (a.size() > 3) memcpy(memory, a[3].data(), a[3].size());
  munmap(memory, length);
  return encoded(found.substr(0, found.find('\0')));
}

/** The directory from now on is read-only for who comes to it by this path, until the reset. */
static std::string protect(const std::string &path) {
  checked(mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr));
  bound.push_back(path);
  return done(mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr));
}

static std::string reset(const std::string &path) {
  for (const auto &place : bound) umount2(place.c_str(), MNT_DETACH);
  bound.clear();
  for (const auto &[name, descriptor] : files) close(descriptor);
  for (const auto &[name, directory] : directories) closedir(directory);
  files.clear();
  directories.clear();
  umask(022);
  return done(chdir(path.c_str()));
}

// --- the table ---

using Call = std::function<std::string(const Arguments &)>;

static const std::map<std::string, Call> CALLS = {
    {"reset", [](auto &a) { return reset(a[0]); }},
    {"rmtree", [](auto &a) { return removeBelow(AT_FDCWD, a[0].c_str()), std::string(); }},
    {"protect", [](auto &a) { return protect(a[0]); }},
    {"tick", [](auto &) { return tick(); }},
    {"storm", [](auto &a) { return storm(a); }},
    {"umask", [](auto &a) { return umask(octal(a[0])), std::string(); }},

    {"open", [](auto &a) { return keep(a[0], open(a[1].c_str(), openFlags(a[2]), a.size() > 3 ? octal(a[3]) : 0644)); }},
    {"openat",
     [](auto &a) {
       return keep(a[0], openat(file(a[1]), a[2].c_str(), openFlags(a[3]), a.size() > 4 ? octal(a[4]) : 0644));
     }},
    {"reopen", [](auto &a) { return keep(a[0], open(pathOf(a[1]).c_str(), openFlags(a[2]))); }},
    {"close",
     [](auto &a) {
       const int descriptor = file(a[0]);
       files.erase(a[0]);
       return done(close(descriptor));
     }},
    {"create", [](auto &a) { return created(a[0], a.size() > 1 ? octal(a[1]) : 0644, ""); }},
    {"put", [](auto &a) { return created(a[0], 0644, a[1]); }},
    {"get", [](auto &a) { return contents(a[0]); }},
    {"dup", [](auto &a) { return keep(a[0], dup(file(a[1]))); }},
    {"read", [](auto &a) { return readInto(a[1], [&](char *to, size_t n) { return read(file(a[0]), to, n); }); }},
    {"pread",
     [](auto &a) { return readInto(a[1], [&](char *to, size_t n) { return pread(file(a[0]), to, n, number(a[2])); }); }},
    {"write", [](auto &a) { return told(write(file(a[0]), a[1].data(), a[1].size())); }},
    {"pwrite", [](auto &a) { return told(pwrite(file(a[0]), a[1].data(), a[1].size(), number(a[2]))); }},
    {"lseek",
     [](auto &a) {
       return told(lseek(file(a[0]), number(a[1]), bits(a[2], {{"set", SEEK_SET}, {"cur", SEEK_CUR}, {"end", SEEK_END}})));
     }},
    {"map", [](auto &a) { return mapped(a); }},
    {"fsync", [](auto &a) { return done(fsync(file(a[0]))); }},
    {"fdatasync", [](auto &a) { return done(fdatasync(file(a[0]))); }},
    {"setfl", [](auto &a) { return done(fcntl(file(a[0]), F_SETFL, openFlags(a[1]))); }},
    {"truncate", [](auto &a) { return done(truncate(a[0].c_str(), number(a[1]))); }},
    {"ftruncate", [](auto &a) { return done(ftruncate(file(a[0]), number(a[1]))); }},

    {"stat", [](auto &a) { return status(AT_FDCWD, a[0], 0, a); }},
    {"lstat", [](auto &a) { return status(AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, a); }},
    {"fstat", [](auto &a) { return status(file(a[0]), "", AT_EMPTY_PATH, a); }},
    {"access", [](auto &a) { return done(access(a[0].c_str(), static_cast<int>(octal(a[1])))); }},
    {"chmod", [](auto &a) { return done(chmod(a[0].c_str(), octal(a[1]))); }},
    {"fchmod", [](auto &a) { return done(fchmod(file(a[0]), octal(a[1]))); }},
    {"chown", [](auto &a) { return done(chown(a[0].c_str(), idOf(a[1]), idOf(a[2]))); }},
    {"lchown", [](auto &a) { return done(lchown(a[0].c_str(), idOf(a[1]), idOf(a[2]))); }},
    {"fchown", [](auto &a) { return done(fchown(file(a[0]), idOf(a[1]), idOf(a[2]))); }},
    {"utimens",
     [](auto &a) {
       const timespec times[2] = {timeOf(a[1]), timeOf(a[2])};
       return done(utimensat(AT_FDCWD, a[0].c_str(), times, a.size() > 3 ? AT_SYMLINK_NOFOLLOW : 0));
     }},
    {"futimens",
     [](auto &a) {
       const timespec times[2] = {timeOf(a[1]), timeOf(a[2])};
       return done(futimens(file(a[0]), times));
     }},

    {"link", [](auto &a) { return done(link(a[0].c_str(), a[1].c_str())); }},
    {"linkfollow", [](auto &a) { return done(linkat(AT_FDCWD, a[0].c_str(), AT_FDCWD, a[1].c_str(), AT_SYMLINK_FOLLOW)); }},
    {"linkopen",
     [](auto &a) { return done(linkat(AT_FDCWD, pathOf(a[0]).c_str(), AT_FDCWD, a[1].c_str(), AT_SYMLINK_FOLLOW)); }},
    {"linkempty", [](auto &a) { return done(linkat(file(a[0]), "", AT_FDCWD, a[1].c_str(), AT_EMPTY_PATH)); }},
    {"symlink", [](auto &a) { return done(symlink(a[0].c_str(), a[1].c_str())); }},
    {"readlink",
     [](auto &a) {
       return readInto("8192", [&](char *to, size_t n) { return readlink(a[0].c_str(), to, n); });
     }},
    {"unlink", [](auto &a) { return done(unlink(a[0].c_str())); }},
    {"unlinkat", [](auto &a) { return done(unlinkat(file(a[0]), a[1].c_str(), 0)); }},
    {"mkdir", [](auto &a) { return done(mkdir(a[0].c_str(), a.size() > 1 ? octal(a[1]) : 0755)); }},
    {"mkdirat", [](auto &a) { return done(mkdirat(file(a[0]), a[1].c_str(), 0755)); }},
    {"rmdir", [](auto &a) { return done(rmdir(a[0].c_str())); }},
    {"mkfifo", [](auto &a) { return done(mkfifo(a[0].c_str(), a.size() > 1 ? octal(a[1]) : 0644)); }},
    {"mknod",
     [](auto &a) {
       const auto type = static_cast<mode_t>(
           bits(a[1], {{"file", S_IFREG}, {"fifo", S_IFIFO}, {"socket", S_IFSOCK}, {"char", S_IFCHR}, {"block", S_IFBLK},
                       {"none", 0}, {"dir", S_IFDIR}, {"symlink", S_IFLNK}}));
       const dev_t device = a.size() > 4 ? makedev(static_cast<unsigned>(number(a[3])), static_cast<unsigned>(number(a[4]))) : 0;
       return done(mknod(a[0].c_str(), type | octal(a[2]), device));
     }},
    {"rename", [](auto &a) { return done(rename(a[0].c_str(), a[1].c_str())); }},
    {"rename2",
     [](auto &a) {
       const int flags = bits(a[2], {{"noreplace", RENAME_NOREPLACE}, {"exchange", RENAME_EXCHANGE}, {"whiteout", 4}});
       return done(syscall(SYS_renameat2, AT_FDCWD, a[0].c_str(), AT_FDCWD, a[1].c_str(), flags));
     }},

    {"chdir", [](auto &a) { return done(chdir(a[0].c_str())); }},
    {"fchdir", [](auto &a) { return done(fchdir(file(a[0]))); }},
    {"getcwd",
     [](auto &) {
       char path[PATH_MAX];
       if (getcwd(path, sizeof path) == nullptr) throw Failed{errno};
       return encoded(path);
     }},
    {"list", [](auto &a) { return listed(a[0]); }},
    {"getdents", [](auto &a) { return nextEntries(file(a[0]), static_cast<size_t>(number(a[1]))); }},
    {"opendir",
     [](auto &a) {
       DIR *directory = opendir(a[1].c_str());
       if (directory == nullptr) throw Failed{errno};
       directories[a[0]] = directory;
       return std::string();
     }},
    {"readdir", [](auto &a) { return nextName(directories.at(a[0])); }},
    {"telldir", [](auto &a) { return std::to_string(telldir(directories.at(a[0]))); }},
    {"seekdir", [](auto &a) { return seekdir(directories.at(a[0]), static_cast<long>(number(a[1]))), std::string(); }},
    {"rewinddir", [](auto &a) { return rewinddir(directories.at(a[0])), std::string(); }},
    {"statfs",
     [](auto &a) {
       struct statvfs s;
       checked(statvfs(a[0].c_str(), &s));
       return std::to_string(s.f_namemax);
     }},

    {"socket",
     [](auto &a) { return keep(a[0], socket(AF_UNIX, a.size() > 1 && a[1] == "datagram" ? SOCK_DGRAM : SOCK_STREAM, 0)); }},
    {"bind",
     [](auto &a) { return address(a[1], [&](auto *to, auto size) { return bind(file(a[0]), to, size); }); }},
    {"connect",
     [](auto &a) { return address(a[1], [&](auto *to, auto size) { return connect(file(a[0]), to, size); }); }},
    {"listen", [](auto &a) { return done(listen(file(a[0]), 1)); }},
    {"accept", [](auto &a) { return keep(a[0], accept(file(a[1]), nullptr, nullptr)); }},
    {"exec", [](auto &a) { return executed(a); }},
};

static std::string perform(const Arguments &line) {
  return CALLS.at(line.at(0))(Arguments(line.begin() + 1, line.end()));
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  std::vector<gid_t> groups;
  for (int at = 3; at < count; at += 1) groups.push_back(static_cast<gid_t>(number(arguments[at])));
  const gid_t gid = static_cast<gid_t>(number(arguments[2]));
  const uid_t uid = static_cast<uid_t>(number(arguments[1]));
  if (setgroups(groups.size(), groups.data()) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  for (std::string text; std::getline(std::cin, text);) {
    Arguments line = split(text, ' ');
    for (auto &argument : line) argument = decoded(argument);
    try {
      const std::string values = perform(line);
      std::cout << (values.empty() ? "ok" : "ok " + values) << std::endl;
    } catch (const Failed &failed) {
      std::cout << "error " << failed.number << std::endl;
    } catch (const std::exception &wrong) {
      std::cerr << "cannot do \"" << text.substr(0, 200) << "\": " << wrong.what() << std::endl;
      return 2;
    }
  }
  return 0;
}
