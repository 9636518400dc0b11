// Does system calls on one open file, one after the other, and prints a line for each: what it gave, or the name of its error.
// Usage: file-calls PATH FLAGS CALL...
//   FLAGS  letters: r read, w write, a append, c create, x exclusive, t O_TMPFILE, d O_DIRECT, s O_SYNC, y O_DSYNC
//   CALL   words joined by commas:
//     fallocate,MODE,OFFSET,LENGTH    write,OFFSET,LENGTH,BYTE      append,LENGTH,BYTE     read,OFFSET,LENGTH
//     data,OFFSET (SEEK_DATA)         hole,OFFSET (SEEK_HOLE)       truncate,LENGTH        sync
//     size                            blocks                        times                  mode
//     map,shared|private|kept,OFFSET,LENGTH,BYTE    (writes; syncs if shared; kept: shared, and stays mapped, not synced)
//     peek,OFFSET,LENGTH (by a mapping)
//     copy,PATH,FROM,TO,LENGTH (copy_file_range from another file, once; PATH `-`: from the file itself)
//     link,PATH (of the open file)    wait (until a line comes on the standard input)      links
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

static std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> words(1);
  for (char letter : text) {
    if (letter == ',') words.emplace_back();
    else words.back() += letter;
  }
  words.resize(6);
  return words;
}

static void print(long long value) {
  if (value < 0) printf("%s\n", strerrorname_np(errno));
  else printf("%lld\n", value);
  fflush(stdout);
}

/** As runs: "3xa 2x." are three times "a" and two zeros. */
static void printBytes(const char *bytes, size_t count) {
  std::string text;
  for (size_t from = 0; from < count;) {
    size_t to = from;
    while (to < count && bytes[to] == bytes[from]) to += 1;
    text += (text.empty() ? "" : " ") + std::to_string(to - from) + "x" + (bytes[from] == 0 ? '.' : bytes[from]);
    from = to;
  }
  puts(text.empty() ? "nothing" : text.c_str());
  fflush(stdout);
}

static int flagsOf(const char *letters) {
  bool reads = strchr(letters, 'r') != nullptr;
  bool writes = strchr(letters, 'w') != nullptr;
  int flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  for (const char *letter = letters; *letter != 0; letter += 1) {
    if (*letter == 'a') flags |= O_APPEND;
    if (*letter == 'c') flags |= O_CREAT;
    if (*letter == 'x') flags |= O_EXCL;
    if (*letter == 't') flags |= O_TMPFILE;
    if (*letter == 'd') flags |= O_DIRECT;
    if (*letter == 's') flags |= O_SYNC;
    if (*letter == 'y') flags |= O_DSYNC;
  }
  return flags;
}

static long long map(int file, const std::string &kind, off_t offset, size_t length, char byte) {
  bool isShared = kind != "private";
  off_t page = offset & ~4095LL;
  size_t mapped = length + (offset - page);
  void *bytes = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, isShared ? MAP_SHARED : MAP_PRIVATE, file, page);
  if (bytes == MAP_FAILED) return -1;
  memset(static_cast<char *>(bytes) + (offset - page), byte, length);
  if (kind == "kept") return 0;
  if (isShared && msync(bytes, mapped, MS_SYNC) < 0) return -1;
  return munmap(bytes, mapped);
}

static void peek(int file, off_t offset, size_t length) {
  off_t page = offset & ~4095LL;
  size_t mapped = length + (offset - page);
  void *bytes = mmap(nullptr, mapped, PROT_READ, MAP_SHARED, file, page);
  if (bytes == MAP_FAILED) return print(-1);
  printBytes(static_cast<char *>(bytes) + (offset - page), length);
  munmap(bytes, mapped);
}

static long long copy(int file, const std::string &path, off_t from, off_t to, size_t length) {
  int source = path == "-" ? dup(file) : open(path.c_str(), O_RDONLY);
  if (source < 0) return -1;
  ssize_t count = copy_file_range(source, &from, file, &to, length, 0);
  int error = errno;
  close(source);
  errno = error;
  return count;
}

static void call(int file, const std::string &text) {
  auto words = split(text);
  const std::string &name = words[0];
  auto number = [&](int index) { return strtoll(words[index].c_str(), nullptr, 0); };
  auto byte = [&](int index) { return words[index] == "." ? char(0) : words[index][0]; };
  void *memory = nullptr;
  struct stat found;
  if (fstat(file, &found) < 0) return print(-1);
  if (name == "fallocate") return print(fallocate(file, number(1), number(2), number(3)));
  if (name == "data") return print(lseek(file, number(1), SEEK_DATA));
  if (name == "hole") return print(lseek(file, number(1), SEEK_HOLE));
  if (name == "truncate") return print(ftruncate(file, number(1)));
  if (name == "sync") return print(fsync(file));
  if (name == "size") return print(found.st_size);
  if (name == "blocks") return print(found.st_blocks);
  if (name == "links") return print(found.st_nlink);
  if (name == "mode") return (void)printf("%o\n", found.st_mode & 07777);
  if (name == "times")
    return (void)printf("%lld.%09ld %lld.%09ld\n", (long long)found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
                        (long long)found.st_ctim.tv_sec, found.st_ctim.tv_nsec);
  if (name == "map") return print(map(file, words[1], number(2), number(3), byte(4)));
  if (name == "peek") return peek(file, number(1), number(2));
  if (name == "copy") return print(copy(file, words[1], number(2), number(3), strtoull(words[4].c_str(), nullptr, 0)));
  if (name == "link") {
    std::string self = "/proc/self/fd/" + std::to_string(file);
    return print(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, words[1].c_str(), AT_SYMLINK_FOLLOW));
  }
  if (name == "wait") {
    puts("waiting");
    fflush(stdout);
    while (getchar() != '\n' && !feof(stdin)) {
    }
    return;
  }
  size_t length = number(name == "append" ? 1 : 2);
  if (posix_memalign(&memory, 4096, length + 4096) != 0) abort();
  char *bytes = static_cast<char *>(memory);
  if (name == "append") {
    memset(bytes, byte(2), length);
    print(write(file, bytes, length));
  } else if (name == "write") {
    memset(bytes, byte(3), length);
    print(pwrite(file, bytes, length, number(1)));
  } else if (name == "read") {
    ssize_t count = pread(file, bytes, length, number(1));
    if (count < 0) print(-1);
    else printBytes(bytes, count);
  } else {
    printf("no call %s\n", name.c_str());
  }
  free(memory);
}

int main(int count, char **words) {
  if (count < 3) return 2;
  int file = open(words[1], flagsOf(words[2]), 0666);
  if (file < 0) {
    print(-1);
    return 0;
  }
  for (int index = 3; index < count; index += 1) call(file, words[index]);
  if (close(file) < 0) print(-1);
  return 0;
}
