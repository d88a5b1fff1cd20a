#include "daemon/log_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/names.h"
#include "lake/base64.h"
#include "pipeline/step_folder.h"
#include "pipeline/step_log.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kLogPause = 50ms;                      // between two looks at a log that is followed
constexpr std::int64_t kLookAgainUs = 1'000'000;      // at the run's rows when no commit has told of a change
constexpr std::int64_t kHeartbeatUs = 15'000'000;     // so that proxies and clients see that it lives
constexpr size_t kPieceBytes = 64 * 1024;

// How many bytes at the end are the beginning of a character that is not all there.
size_t CutCharacter(const std::string& bytes) {
  for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); ++back) {
    const auto c = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if ((c & 0xC0) == 0x80) continue;
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

std::string EventText(const std::string& type, const std::string& id, const Json& data) {
  return (id.empty() ? "" : "id: " + id + "\n") + "event: " + type + "\ndata: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

}  // namespace

bool LogSender::Run(const Send& send, Follow follow) {
  if (form_ == LogForm::kEvents && !send("retry: 1000\n\n")) return false;
  std::uint64_t seen = 0;
  std::int64_t look_us = 0;
  Progress progress = Progress::kRunning;
  for (;;) {
    // Asked before the file is read, so that nothing written before the end is missed.
    const std::int64_t now_us = api_.clock.MonotonicUs();
    const std::uint64_t commits = api_.commits.count();
    if (commits != seen || now_us >= look_us) {
      seen = commits;
      look_us = now_us + kLookAgainUs;
      progress = Look();
    }
    if (!SendNew(send)) return false;
    if (follow == Follow::kNo || progress == Progress::kOver) return SendEnd(send);
    if (progress == Progress::kNext) {
      if (!SendNextAttempt(send)) return false;
      look_us = 0;
      continue;
    }
    if (abandoned_()) return true;
    if (!SendHeartbeat(send)) return false;
    api_.commits.WaitPast(commits, kLogPause);
  }
}

LogSender::Progress LogSender::Look() {
  const auto run = api_.store.Read([&](Db& db) { return registry::GetRun(db, place_.run); });
  const registry::Step* step = run ? run->FindStep(place_.step) : nullptr;
  if (!step) return Progress::kOver;
  state_ = registry::Name(step->state);
  const auto attempts = static_cast<std::int64_t>(step->attempts.size());
  if (attempts > place_.attempt) return place_.one_attempt ? Progress::kOver : Progress::kNext;
  if (place_.one_attempt && attempts == place_.attempt && step->attempts.back().ended_at) return Progress::kOver;
  return registry::IsEnd(step->state) || registry::IsEnd(run->state) ? Progress::kOver : Progress::kRunning;
}

bool LogSender::SendNew(const Send& send) {
  if (place_.attempt == 0) return true;
  const std::string folder = pipeline::AttemptFolder(api_.data_dir, place_.run, place_.step, place_.attempt);
  for (;;) {
    pipeline::LogPiece piece = pipeline::ReadLog(folder, place_.offset, kPieceBytes);
    if (piece.next_offset == place_.offset) return true;
    const std::uint64_t from = place_.offset - held_.size();
    place_.offset = piece.next_offset;
    if (!SendPiece(send, from, std::exchange(held_, {}) + piece.bytes)) return false;
  }
}

bool LogSender::SendPiece(const Send& send, std::uint64_t from, std::string bytes) {
  if (form_ == LogForm::kText) return send(bytes);
  const size_t cut = CutCharacter(bytes);
  held_ = bytes.substr(bytes.size() - cut);
  bytes.resize(bytes.size() - cut);
  if (bytes.empty()) return true;
  const std::uint64_t next = place_.offset - held_.size();
  Json data = {{"step", place_.step}, {"attempt", place_.attempt}, {"offset", from}, {"next", next}};
  if (IsUtf8Text(bytes))
    data["text"] = std::move(bytes);
  else
    data["base64"] = lake::Base64(bytes);
  return send(EventText("log", std::to_string(place_.attempt) + "-" + std::to_string(next), data));
}

bool LogSender::SendNextAttempt(const Send& send) {
  const bool first = place_.attempt == 0;
  if (!SendHeld(send)) return false;
  ++place_.attempt;
  place_.offset = 0;
  const std::string number = std::to_string(place_.attempt);
  if (form_ == LogForm::kText) return first || send("--- attempt " + number + " ---\n");
  return send(EventText("attempt", number + "-0", {{"step", place_.step}, {"attempt", place_.attempt}}));
}

bool LogSender::SendHeartbeat(const Send& send) {
  const std::int64_t now_us = api_.clock.MonotonicUs();
  if (form_ == LogForm::kText || now_us < heartbeat_us_) return true;
  heartbeat_us_ = now_us + kHeartbeatUs;
  return send(": alive\n\n");
}

// The beginning of a character that was never finished is sent as it is.
bool LogSender::SendHeld(const Send& send) {
  if (held_.empty()) return true;
  const std::string bytes = std::exchange(held_, {});
  const Json data = {{"step", place_.step}, {"attempt", place_.attempt}, {"offset", place_.offset - bytes.size()},
                     {"next", place_.offset}, {"base64", lake::Base64(bytes)}};
  return send(EventText("log", Id(), data));
}

bool LogSender::SendEnd(const Send& send) {
  if (form_ == LogForm::kText) return true;
  if (!SendHeld(send)) return false;
  return send(EventText("end", Id(), {{"step", place_.step}, {"attempt", place_.attempt}, {"state", state_}}));
}

std::string LogSender::Id() const { return std::to_string(place_.attempt) + "-" + std::to_string(place_.offset); }

}  // namespace ratchet::daemon
