// Calls on extended attributes, of names and of open files.
#pragma once

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <string>
#include <vector>

#include "call.h"
#include "contents.h"

constexpr ssize_t TOLD_BYTES_MAX = 80;

// Nothing is read into no buffer.
inline std::string value_of(ssize_t length, const std::vector<char> &value) {
  if (length < 0) return failed();
  std::string answer = std::to_string(length);
  if (value.empty()) return answer;
  if (length <= TOLD_BYTES_MAX) return answer + " " + encoded(std::string(value.data(), length));
  return answer + " " + runs_of(reinterpret_cast<const unsigned char *>(value.data()), length, 0);
}

inline std::vector<std::string> sorted_names(const std::vector<char> &list, ssize_t length) {
  std::vector<std::string> names;
  for (ssize_t at = 0; at < length; at += names.back().size() + 1) names.emplace_back(list.data() + at);
  std::sort(names.begin(), names.end());
  return names;
}

inline std::string names_of(ssize_t length, const std::vector<char> &list) {
  if (length < 0) return failed();
  std::string answer = std::to_string(length);
  if (list.empty()) return answer;
  for (const std::string &name : sorted_names(list, length)) answer += " " + encoded(name);
  return answer;
}

// A mount keeps none of what is open without a name and is no file.
inline bool is_regular(int file) {
  struct stat status;
  return fstat(file, &status) < 0 || S_ISREG(status.st_mode);
}

inline const Calls XATTR_CALLS = {
    {"setxattr",
     [](Arguments &a) {
       std::string path = a.text(), name = a.text(), value = a.text();
       return result(lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), a.number()));
     }},
    {"fsetxattr",
     [](Arguments &a) {
       int file = a.slot();
       if (!is_regular(file)) return std::string("no file");
       std::string name = a.text(), value = a.text();
       return result(fsetxattr(file, name.c_str(), value.data(), value.size(), a.number()));
     }},
    {"getxattr",
     [](Arguments &a) {
       std::string path = a.text(), name = a.text();
       std::vector<char> value(a.number());
       return value_of(lgetxattr(path.c_str(), name.c_str(), value.data(), value.size()), value);
     }},
    {"fgetxattr",
     [](Arguments &a) {
       int file = a.slot();
       if (!is_regular(file)) return std::string("no file");
       std::string name = a.text();
       std::vector<char> value(a.number());
       return value_of(fgetxattr(file, name.c_str(), value.data(), value.size()), value);
     }},
    {"listxattr",
     [](Arguments &a) {
       std::string path = a.text();
       std::vector<char> list(a.number());
       return names_of(llistxattr(path.c_str(), list.data(), list.size()), list);
     }},
    {"removexattr",
     [](Arguments &a) {
       std::string path = a.text();
       return result(lremovexattr(path.c_str(), a.text().c_str()));
     }},
    {"fremovexattr",
     [](Arguments &a) {
       int file = a.slot();
       if (!is_regular(file)) return std::string("no file");
       return result(fremovexattr(file, a.text().c_str()));
     }},
};
