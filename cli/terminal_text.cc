#include "cli/terminal_text.h"

namespace ratchet::cli {
namespace {

constexpr unsigned char kEsc = 0x1b, kBell = 0x07, kDelete = 0x7f, kLatinLead = 0xc2;

// What begins a string that lasts to ESC \\ or BEL: DCS, SOS, OSC, PM, APC.
bool OpensString(unsigned char byte) {
  return byte == 'P' || byte == 'X' || byte == ']' || byte == '^' || byte == '_';
}

int ContinuationBytes(unsigned char lead) { return lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0; }

}  // namespace

std::string TerminalText::Feed(std::string_view piece) {
  std::string out;
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n') state_ = State::kText;
    switch (state_) {
      case State::kText:
        TakeText(byte, out);
        break;
      case State::kEscape:
        if (byte >= 0x20 && byte <= 0x2f) break;  // an intermediate byte: more follows
        state_ = byte == '[' ? State::kSequence : OpensString(byte) ? State::kString : State::kText;
        if (byte == kEsc) state_ = State::kEscape;
        break;
      case State::kSequence:
        if (byte >= 0x40 && byte <= 0x7e) state_ = State::kText;
        if (byte == kEsc) state_ = State::kEscape;
        break;
      case State::kString:
        if (byte == kBell) state_ = State::kText;
        if (byte == kEsc) state_ = State::kStringEscape;
        break;
      case State::kStringEscape:
        state_ = byte == '\\' ? State::kText : State::kString;
        break;
    }
  }
  return out;
}

void TerminalText::TakeText(unsigned char byte, std::string& out) {
  const bool continues = (byte & 0xc0) == 0x80;
  if (held_lead_) {
    held_lead_ = false;
    if (continues && byte < 0xa0) return;  // U+0080 to U+009F
    out += static_cast<char>(kLatinLead);
    continuation_ = 1;
  }
  if (continues) {
    if (continuation_ == 0) return;
    --continuation_;
    out += static_cast<char>(byte);
    return;
  }
  continuation_ = ContinuationBytes(byte);
  if (byte == kEsc) {
    state_ = State::kEscape;
  } else if (byte == kLatinLead) {
    held_lead_ = true;
  } else if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != kDelete)) {
    out += static_cast<char>(byte);
  }
}

}  // namespace ratchet::cli
