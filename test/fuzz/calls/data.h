// Calls on open files, and on their bytes.
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "call.h"
#include "contents.h"

inline sigjmp_buf beyond_end;

// What `use` says of a mapped piece, as far as the file reaches (nothing is promised of the rest of its last page), or what a
// program is told that touches pages behind it.
inline std::string mapped(int file, long offset, long length, int protection,
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

inline std::string holes_in(int file) {
  struct stat status;
  if (fstat(file, &status) < 0) return failed();
  off_t at = 0;
  while (at < status.st_size) {
    off_t data = lseek(file, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return failed();
    off_t hole_end = data < 0 ? status.st_size : data;
    if (hole_end < at) return "data at " + std::to_string(data) + " behind " + std::to_string(at);
    std::vector<unsigned char> bytes(hole_end - at);
    ssize_t count = pread(file, bytes.data(), bytes.size(), at);
    if (count < 0) return failed();
    auto isData = [](unsigned char byte) { return byte != 0; };
    if (std::any_of(bytes.begin(), bytes.end(), isData)) return "data in the hole at " + std::to_string(at);
    if (data < 0) break;
    at = lseek(file, data, SEEK_HOLE);
    if (at <= data) return at < 0 ? failed() : "no data at " + std::to_string(data);
  }
  return "holes up to " + std::to_string(status.st_size);
}

inline const Calls DATA_CALLS = {
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
    {"fallocate",
     [](Arguments &a) {
       int file = a.slot();
       long mode = a.number(), offset = a.number();
       return result(fallocate(file, mode, offset, a.number()));
     }},
    // Where holes lie is the file system's own affair, but what it calls one has to be, up to the end of the file.
    {"seek_holes",
     [](Arguments &a) {
       int file = a.slot();
       off_t position = lseek(file, 0, SEEK_CUR);
       std::string answer = holes_in(file);
       lseek(file, position, SEEK_SET);
       return answer;
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
};
