#pragma once

#include <string>

namespace ratchet::cli {

// A server may refuse an upload before it has read all of it. cpp-httplib's client would go on writing until the
// connection breaks and then know no reason; these two look at the plain socket and fetch the reason.
struct EarlyAnswer {
  int status = 0;  // 0 = could not be read
  std::string body;
};

// True when bytes from the server lie ready on the socket. Never waits.
bool AnswerWaiting(int socket);

// Reads the whole answer off the socket, for a few seconds and a megabyte at most. The connection is of no use after.
EarlyAnswer ReadEarlyAnswer(int socket);

// The status and body of a complete or partial HTTP/1.1 answer, by Content-Length, chunks or the end of the connection.
// `complete` says whether all of the body is there. Exposed for tests.
EarlyAnswer ParseAnswer(const std::string& bytes, bool* complete);

}  // namespace ratchet::cli
