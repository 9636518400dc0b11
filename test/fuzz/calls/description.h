// What every file system should tell alike of what is in it.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "call.h"
#include "contents.h"
#include "xattrs.h"

inline char type_of(mode_t mode) {
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
inline std::string described(const struct stat &status) {
  char text[160];
  long size = S_ISDIR(status.st_mode) ? 0 : status.st_size;
  long device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ? status.st_rdev : 0;
  snprintf(text, sizeof text, "%c %04o links=%lu owner=%u:%u size=%ld device=%ld", type_of(status.st_mode),
           status.st_mode & 07777, static_cast<unsigned long>(status.st_nlink), status.st_uid, status.st_gid, size, device);
  return text;
}

inline std::string status_of(int outcome, const struct stat &status) { return outcome < 0 ? failed() : described(status); }

inline long long nanoseconds(const struct timespec &time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

inline std::vector<std::string> names_in(const std::string &path, bool typed) {
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

// Names and values, of a path or of an open file.
inline std::string xattrs_of(const std::function<ssize_t(char *, size_t)> &list_all,
                             const std::function<ssize_t(const char *, char *, size_t)> &get) {
  std::vector<char> list(XATTR_LIST_MAX);
  ssize_t length = list_all(list.data(), list.size());
  if (length < 0) return " xattrs: " + failed();
  std::string answer;
  for (const std::string &name : sorted_names(list, length)) {
    std::vector<char> value(XATTR_SIZE_MAX);
    answer += " " + encoded(name) + "=" + value_of(get(name.c_str(), value.data(), value.size()), value);
  }
  return answer;
}

inline std::string xattrs_of(const std::string &path) {
  return xattrs_of([&](char *list, size_t size) { return llistxattr(path.c_str(), list, size); },
                   [&](const char *name, char *value, size_t size) { return lgetxattr(path.c_str(), name, value, size); });
}

inline std::string xattrs_of(int file) {
  return xattrs_of([&](char *list, size_t size) { return flistxattr(file, list, size); },
                   [&](const char *name, char *value, size_t size) { return fgetxattr(file, name, value, size); });
}

// Everything below a directory, an entry for each name: its path, what it is, what is in it, extended attributes, mtime and ctime.
inline void walk(const std::string &path, std::map<ino_t, std::string> &first_names, std::string &answer) {
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
    answer += xattrs_of(child) + " mtime=" + std::to_string(nanoseconds(status.st_mtim));
    answer += " ctime=" + std::to_string(nanoseconds(status.st_ctim)) + "|";
    if (S_ISDIR(status.st_mode)) walk(child, first_names, answer);
  }
}

inline std::string joined(const std::vector<std::string> &words) {
  std::string result;
  for (const std::string &word : words) result += word + " ";
  return result;
}
