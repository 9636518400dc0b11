// What the comparison of everything asks for.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>

#include "call.h"
#include "contents.h"
#include "description.h"
#include "xattrs.h"

inline std::string synced(int file) { return fsync(file) < 0 && errno != EINVAL ? failed() : ""; }

inline const Calls STATE_CALLS = {
    // What was written is where others see it, the files stay open.
    {"sync",
     [](Arguments &) {
       std::string answer;
       for (int file : slots) {
         if (file >= 0) answer += synced(file);
       }
       return answer;
     }},
    // For the comparison of everything: that, and what each holds then.
    {"settle",
     [](Arguments &) {
       std::string answer;
       for (int file : slots) {
         if (file < 0) continue;
         struct stat status;
         answer += synced(file);
         answer += fstat(file, &status) < 0 ? failed() : described(status) + " ";
         if (S_ISREG(status.st_mode) && (fcntl(file, F_GETFL) & O_ACCMODE) != O_WRONLY) answer += contents(file, status.st_size);
         answer += (is_regular(file) ? xattrs_of(file) : "") + "|";
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
