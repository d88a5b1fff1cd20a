#pragma once

#include <string>

namespace ratchet::cli {

// A server may refuse an upload before it has read all of it. cpp-httplib's client would go on writing until the
// connection breaks and then know no reason; these two look at the plain socket and fetch the reason.
struct EarlyAnswer {
  int status = 0;  // 0 = could not be read
  std::string body;
};

// Waits until the socket takes more bytes or the server has answered; true in the second case. A server that neither
// reads nor answers for `patience_ms` counts as the first, so that the write finds out what is the matter.
bool AnswersBeforeWrite(int socket, int patience_ms);

// Reads the whole answer off the socket, for a few seconds and a megabyte at most. The connection is of no use after.
EarlyAnswer ReadEarlyAnswer(int socket);

// The status and body of a complete or partial HTTP/1.1 answer, by Content-Length, chunks or the end of the connection.
// `complete` says whether all of the body is there. Exposed for tests.
EarlyAnswer ParseAnswer(const std::string& bytes, bool* complete);

}  // namespace ratchet::cli
