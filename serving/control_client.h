#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

namespace ratchet::serving {

// What ratchet-serve asks of the control plane, over HTTP.
class ControlClient {
 public:
  // `url`: http://HOST:PORT. `replica_id` has been checked as a name.
  static Result<std::unique_ptr<ControlClient>> Create(const std::string& url, const std::string& replica_id);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // Posts a sync request and waits for its answer, up to kSyncWaitS. kUnavailable when there is none, or Interrupt came
  // in between. One thread.
  Result<std::string> Sync(const std::string& body);
  // Ends a Sync that is waiting for its answer; nothing when none is. Any thread.
  void Interrupt();

  // Posts a batch of predictions, JSON Lines, with `query` ("spool=…&…") behind the address; gives the answer's HTTP
  // status. kUnavailable when there is none. One thread, which may be another than Sync's.
  Result<int> ShipPredictions(const std::string& query, const std::string& lines);
  // Ends a ShipPredictions that is under way. Any thread.
  void AbandonShipping();

  // Streams a blob into the file at `path`, from where that one ends where it is there, and syncs it. kTooLarge beyond
  // `limit_bytes` in all, kUnavailable where it may go on later: then what has come stays. The digest is the caller's to
  // check. Any thread.
  Status FetchBlob(const std::string& sha256, const std::string& path, std::uint64_t limit_bytes) const;
  // Waits; false as soon as AbandonFetches is called. Any thread.
  bool Pause(std::int64_t wait_us);
  // Fetches and pauses under way and to come end: with kUnavailable, with false. Any thread.
  void AbandonFetches();

  static constexpr int kConnectWaitS = 3;
  static constexpr int kSyncWaitS = 30;    // the control plane answers within 20
  static constexpr int kShipWaitS = 30;    // for the control plane to have a batch on its disk
  static constexpr int kFetchStallS = 30;  // a download that stands still that long has failed

 private:
  struct Connection;
  ControlClient(std::string url, std::string replica_id);

  const std::string url_;
  const std::string sync_path_, ship_path_;
  std::mutex pause_mutex_;
  std::condition_variable pause_over_;
  std::atomic<bool> abandoned_{false};
  std::unique_ptr<Connection> sync_, ship_;
};

}  // namespace ratchet::serving
