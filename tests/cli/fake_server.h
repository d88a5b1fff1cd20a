#pragma once

#include <httplib.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ratchet::cli {

struct SeenRequest {
  std::string method;
  std::string target;  // path and query
  std::string body;
  std::string content_type;
  std::string authorization;
  std::string idempotency_key;
  std::string last_event_id = {};
};

struct RecordedAnswer {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
};

// A server on loopback that gives recorded answers: for each "METHOD path" its answers in turn, the last one again and
// again; 404 as problem+json for all else. Remembers what was asked.
class FakeServer {
 public:
  FakeServer() {
    auto handler = [this](const httplib::Request& request, httplib::Response& response) { Answer(request, response); };
    server_.Get(".*", handler);
    server_.Post(".*", handler);
    server_.Put(".*", handler);
    server_.Delete(".*", handler);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~FakeServer() {
    server_.stop();
    thread_.join();
  }

  void On(const std::string& request, const std::string& body, int status = 200,
          const std::string& content_type = "application/json") {
    std::lock_guard lock(mutex_);
    answers_[request].push_back({status, body, content_type});
  }
  std::vector<SeenRequest> Seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void Answer(const httplib::Request& request, httplib::Response& response) {
    std::lock_guard lock(mutex_);
    seen_.push_back({request.method, request.target, request.body, request.get_header_value("Content-Type"),
                     request.get_header_value("Authorization"), request.get_header_value("Idempotency-Key"),
                     request.get_header_value("Last-Event-ID")});
    auto found = answers_.find(request.method + " " + request.target);
    if (found == answers_.end()) found = answers_.find(request.method + " " + request.path);
    RecordedAnswer answer{404,
                          R"({"type":"https://ratchet.dev/problems/not-found","title":"Not found","status":404,)"
                          R"("detail":"There is no such thing."})",
                          "application/problem+json"};
    if (found != answers_.end()) {
      size_t& turn = turns_[found->first];
      answer = found->second[std::min(turn++, found->second.size() - 1)];
    }
    response.status = answer.status;
    response.set_content(answer.body, answer.content_type.c_str());
  }

  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
  std::mutex mutex_;
  std::map<std::string, std::vector<RecordedAnswer>> answers_;
  std::map<std::string, size_t> turns_;
  std::vector<SeenRequest> seen_;
};

}  // namespace ratchet::cli
