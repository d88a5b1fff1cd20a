#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/json_fields.h"
#include "cli/server_url.h"

namespace httplib {
class Client;
}

namespace ratchet::cli {

struct RequestBody {
  std::string text;
  std::string content_type = "application/json";
  std::string idempotency_key;  // empty = none
};

// Takes a piece of an answer; false stops the transfer.
using PieceReceiver = std::function<bool(std::string_view piece)>;

using HeaderLines = std::vector<std::pair<std::string, std::string>>;

// Where an upload's bytes come from: fills at most `most` bytes and returns how many, 0 at the end.
using ByteSource = std::function<Result<std::size_t>(char* into, std::size_t most)>;

// Speaks HTTP to one server. Every answer outside 2xx comes back as an Error made of its problem+json (or of the data
// plane's {"error"}); a server that cannot be reached as an error for which OutOfReach() holds. One thread.
class Client {
 public:
  Client(ServerUrl url, std::string token);
  ~Client();
  Client(Client&&) noexcept;

  // The answer's body. `path` begins with '/' and is encoded already.
  Result<std::string> Get(const std::string& path);
  Result<std::string> Post(const std::string& path, const RequestBody& body);
  Result<std::string> Put(const std::string& path, const RequestBody& body);
  Result<std::string> Delete(const std::string& path);

  Result<Json> GetJson(const std::string& path);
  // A list as one page, {"items":[…],"next":…}: the items of every page, or of as many as hold `most` items (0 = all),
  // from behind the cursor `after` (empty = from the first). `next` is the cursor to go on from, null at the list's end.
  Result<Json> GetList(const std::string& path, std::size_t most = 0, std::string after = {});
  // The items of such a page alone.
  Result<Json> GetItems(const std::string& path, std::size_t most = 0);
  // Hands the body on piece by piece; `patience_s` is how long the server may be silent.
  Status Download(const std::string& path, const PieceReceiver& receiver, int patience_s, const HeaderLines& headers = {});
  // Streams a body. `size_bytes` < 0 = unknown (chunked). An answer that comes before the end of the body, as a refusal
  // does, ends the upload at once.
  Result<std::string> Upload(const std::string& path, const std::string& content_type, std::int64_t size_bytes,
                             const ByteSource& source, const std::string& idempotency_key);

  // For quick looks such as completion: gives up on a silent server after so long.
  void SetPatience(int milliseconds);
  const ServerUrl& Url() const { return url_; }

 private:
  struct Connection;
  ServerUrl url_;
  std::string token_;
  std::unique_ptr<Connection> connection_;
};

// True for "could not connect" and "the connection broke", as against an answer that says no.
bool OutOfReach(const Error& error);

// An error answer as a value. Exposed for tests.
Error DecodeProblem(int status, std::string_view body);

// Parses an answer's body; an answer that is not JSON is a kCorrupt error.
Result<Json> DecodeAnswer(std::string_view body);

// 128 random bits as hex: the same for every try of one intent.
std::string NewIdempotencyKey();

}  // namespace ratchet::cli
