#pragma once

#include <string>
#include <string_view>

namespace ratchet::cli {

// Makes a stream of bytes of unknown origin safe to show on a terminal: escape sequences and control characters, in
// UTF-8 or as single bytes, are left out; newlines and tabs stay. No sequence, however it is cut into pieces or left
// open, hides more than its own line.
class TerminalText {
 public:
  std::string Feed(std::string_view piece);

 private:
  enum class State { kText, kEscape, kSequence, kString, kStringEscape };
  void TakeText(unsigned char byte, std::string& out);

  State state_ = State::kText;
  int continuation_ = 0;    // bytes that a UTF-8 character still lacks
  bool held_lead_ = false;  // 0xC2, which begins a control character or a harmless one
};

}  // namespace ratchet::cli
