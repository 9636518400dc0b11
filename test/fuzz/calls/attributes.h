// Calls on attributes, and on lengths.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "call.h"
#include "description.h"

inline struct timespec time_of(Arguments &arguments) {
  std::string text = arguments.text();
  if (text == "now") return {0, UTIME_NOW};
  if (text == "omit") return {0, UTIME_OMIT};
  return {std::stol(text), 123456789};
}

inline const Calls ATTRIBUTE_CALLS = {
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
};
