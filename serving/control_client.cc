#include "serving/control_client.h"

#include <httplib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "serving/route_table.h"

namespace ratchet::serving {

struct ControlClient::Connection {
  explicit Connection(const std::string& url) : client(url) {}
  httplib::Client client;
};

namespace {

void SetTimeouts(httplib::Client& client, int read_s) {
  client.set_connection_timeout(ControlClient::kConnectWaitS, 0);
  client.set_read_timeout(read_s, 0);
  client.set_write_timeout(ControlClient::kConnectWaitS, 0);
  client.set_keep_alive(true);
  client.set_tcp_nodelay(true);
}

// What has come of a blob so far.
class PartFile {
 public:
  explicit PartFile(std::string path) : path_(std::move(path)) {}
  std::uint64_t Size() const {
    std::error_code none;
    const auto bytes = std::filesystem::file_size(path_, none);
    return none ? 0 : bytes;
  }
  // To be written on from `at`; what lies behind is cut. False where the disk refuses, as of Write; Close says why.
  bool Open(std::uint64_t at) {
    file_.open(path_, std::ios::binary | std::ios::in | std::ios::out);
    if (!file_.is_open()) file_.open(path_, std::ios::binary | std::ios::out);
    if (!file_.is_open()) failed_ = errno;
    if (file_.is_open() && truncate(path_.c_str(), static_cast<off_t>(at)) != 0) failed_ = errno;
    file_.seekp(static_cast<std::streamoff>(at));
    return failed_ == 0;
  }
  bool Write(const char* bytes, size_t length) {
    errno = 0;
    if (!file_.write(bytes, static_cast<std::streamsize>(length))) failed_ = errno ? errno : EIO;
    return failed_ == 0;
  }
  Status Close() {
    if (file_.is_open()) {
      errno = 0;
      file_.close();
      if (file_.fail() && failed_ == 0) failed_ = errno ? errno : EIO;
    }
    if (failed_ == 0) return {};
    return Fail(ErrorCode::kIo, "write", path_, std::strerror(failed_), "Free some space on that disk");
  }

 private:
  const std::string path_;
  std::fstream file_;
  int failed_ = 0;
};

std::unexpected<Error> Away(const char* operation, const std::string& subject, std::string cause) {
  return Fail(ErrorCode::kUnavailable, operation, subject, std::move(cause));
}

}  // namespace

Result<std::unique_ptr<ControlClient>> ControlClient::Create(const std::string& url, const std::string& replica_id) {
  std::unique_ptr<ControlClient> client(new ControlClient(url, replica_id));
  if (!url.starts_with("http://") || !client->sync_->client.is_valid()) {
    return Fail(ErrorCode::kInvalid, "use control plane", url, "is not of the form http://HOST:PORT");
  }
  return client;
}

ControlClient::ControlClient(std::string url, std::string replica_id)
    : url_(std::move(url)),
      sync_path_("/api/v1/replicas/" + replica_id + "/sync"),
      ship_path_("/api/v1/replicas/" + replica_id + "/predictions"),
      sync_(std::make_unique<Connection>(url_)),
      ship_(std::make_unique<Connection>(url_)) {
  SetTimeouts(sync_->client, kSyncWaitS);
  SetTimeouts(ship_->client, kShipWaitS);
}

ControlClient::~ControlClient() = default;

Result<std::string> ControlClient::Sync(const std::string& body) {
  std::string answer;
  httplib::Request request;
  request.method = "POST";
  request.path = sync_path_;
  request.body = body;
  request.set_header("Content-Type", "application/json");
  request.content_receiver = [&](const char* bytes, size_t length, std::uint64_t, std::uint64_t) {
    answer.append(bytes, length);
    return answer.size() <= kMaxRouteTableBytes;
  };
  auto result = sync_->client.send(request);
  if (!result) return Away("sync with", url_, httplib::to_string(result.error()));
  if (result->status != 200) {
    return Away("sync with", url_, "status " + std::to_string(result->status) + " " + answer.substr(0, 200));
  }
  return answer;
}

void ControlClient::Interrupt() { sync_->client.stop(); }

Result<int> ControlClient::ShipPredictions(const std::string& query, const std::string& lines) {
  if (abandoned_) return Away("ship predictions to", url_, "stopping");
  auto result = ship_->client.Post(ship_path_ + "?" + query, lines, "application/x-ndjson");
  if (!result) return Away("ship predictions to", url_, httplib::to_string(result.error()));
  return result->status;
}

void ControlClient::AbandonShipping() { ship_->client.stop(); }

void ControlClient::AbandonFetches() {
  std::lock_guard lock(pause_mutex_);
  abandoned_ = true;
  pause_over_.notify_all();
}

bool ControlClient::Pause(std::int64_t wait_us) {
  std::unique_lock lock(pause_mutex_);
  return !pause_over_.wait_for(lock, std::chrono::microseconds(wait_us), [this] { return abandoned_.load(); });
}

Status ControlClient::FetchBlob(const std::string& sha256, const std::string& path, std::uint64_t limit_bytes) const {
  PartFile file(path);
  std::uint64_t bytes = file.Size();
  int status = 0;
  httplib::Client client(url_);
  SetTimeouts(client, kFetchStallS);
  httplib::Headers headers;
  if (bytes > 0) headers = {{"Range", "bytes=" + std::to_string(bytes) + "-"}, {"If-Range", "\"" + sha256 + "\""}};
  auto result = client.Get(
      "/api/v1/blobs/" + sha256, headers,
      [&](const httplib::Response& response) {
        status = response.status;
        if (status != 200 && status != 206) return false;
        if (status == 200) bytes = 0;  // from the beginning, whatever was asked for
        return file.Open(bytes) &&
               (status == 200 || response.get_header_value("Content-Range").starts_with("bytes " + std::to_string(bytes) + "-"));
      },
      [&](const char* piece, size_t length) {
        bytes += length;
        return !abandoned_ && bytes <= limit_bytes && file.Write(piece, length);
      });
  RATCHET_TRY(file.Close());
  if (bytes > limit_bytes)
    return Fail(ErrorCode::kTooLarge, "fetch blob", sha256, "larger than " + std::to_string(limit_bytes) + " bytes");
  if (status == 404) return Fail(ErrorCode::kNotFound, "fetch blob", sha256, "the control plane does not have it");
  const bool answered = status != 0 && status != 200 && status != 206;
  if (!result || answered)
    return Away("fetch blob", sha256, answered ? "status " + std::to_string(status) : httplib::to_string(result.error()));
  return SystemFiles().Sync(path);
}

}  // namespace ratchet::serving
