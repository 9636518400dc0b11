// What is written, and how what is read is told.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "call.h"

constexpr size_t PIECE_BYTES = 1 << 20;

// What a write puts at an offset: other bytes for each tag, and after a shift by any power of two up to 16 MiB.
inline unsigned char pattern(long tag, long offset) {
  return static_cast<unsigned char>(tag + offset + (offset >> 8) * 7 + (offset >> 16) * 13 + (offset >> 24) * 17);
}

// The same bytes are the same runs: `LENGTHxBYTE` for equal bytes, `LENGTH@TAG` for a piece of a write's pattern.
inline std::string runs_of(const unsigned char *bytes, long length, long offset) {
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
inline std::vector<unsigned char> written(int file, long tag, long offset, long length) {
  bool appends = (fcntl(file, F_GETFL) & O_APPEND) != 0;
  std::vector<unsigned char> bytes(length);
  for (long at = 0; at < length; at += 1) bytes[at] = appends ? tag : pattern(tag, offset + at);
  return bytes;
}

inline std::string contents(int file, long size) {
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
