// Calls on names.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "call.h"
#include "description.h"

inline const Calls NAME_CALLS = {
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
    {"readlink",
     [](Arguments &a) {
       char target[4096];
       ssize_t length = readlink(a.text().c_str(), target, sizeof target);
       return length < 0 ? failed() : encoded(std::string(target, length));
     }},
    {"readdir", [](Arguments &a) { return joined(names_in(a.text(), true)); }},
};
