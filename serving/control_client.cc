#include "serving/control_client.h"

#include <httplib.h>

#include <cerrno>
#include <cstdio>
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

Status ControlClient::FetchBlob(const std::string& sha256, const std::string& path, std::uint64_t limit_bytes) const {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return FailErrno("create", path, errno);
  std::uint64_t bytes_got = 0;
  int status = 0;
  httplib::Client client(url_);
  SetTimeouts(client, kFetchStallS);
  auto result = client.Get(
      "/api/v1/blobs/" + sha256,
      [&](const httplib::Response& response) {
        status = response.status;
        return status == 200;
      },
      [&](const char* bytes, size_t length) {
        bytes_got += length;
        file.write(bytes, static_cast<std::streamsize>(length));
        return !abandoned_ && bytes_got <= limit_bytes && file.good();
      });
  file.close();
  if (bytes_got > limit_bytes) {
    return Fail(ErrorCode::kTooLarge, "fetch blob", sha256, "larger than " + std::to_string(limit_bytes) + " bytes");
  }
  if (!file) return Fail(ErrorCode::kIo, "write", path, "the disk refused", "Free some space on that disk");
  if (status == 404) return Fail(ErrorCode::kNotFound, "fetch blob", sha256, "the control plane does not have it");
  if (!result || status != 200) {
    return Away("fetch blob", sha256, status ? "status " + std::to_string(status) : httplib::to_string(result.error()));
  }
  return SystemFiles().Sync(path);
}

}  // namespace ratchet::serving
