// A call: the words that it reads, the slots of open files that it may name, the text that it answers.
#pragma once

#include <cerrno>
#include <cstdio>
#include <functional>
#include <map>
#include <sstream>
#include <string>

constexpr int SLOT_COUNT = 16; // of each side
constexpr int SIDE_COUNT = 2;

inline int slots[SLOT_COUNT * SIDE_COUNT];
inline int side = 0;
// What is in a FIFO stays on its machine: a plain directory cannot stand in for two of them.
inline bool keeps_fifos = false;

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

inline std::string encoded(const std::string &text) {
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

inline std::string failed() { return "!" + std::to_string(errno); }

inline std::string result(long value) { return value < 0 ? failed() : std::to_string(value); }

using Call = std::function<std::string(Arguments &)>;
using Calls = std::map<std::string, Call>;
