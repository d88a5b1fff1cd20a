#include "serving/content_encoding.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <span>

namespace ratchet::serving {
namespace {

constexpr size_t kFirstChunkBytes = 16u << 10;
constexpr size_t kSpareBytes = 64;  // behind the text, for the JSON parser
constexpr int kZstdWindowLog = 23;  // 8 MiB, the most that RFC 9659 lets a server ask of a client
constexpr int kGzipWindowBits = 15 + 16;
constexpr int kZlibWindowBits = 15;

std::unexpected<Error> Broken(Coding coding, std::string cause) {
  return Fail(ErrorCode::kInvalid, "read the body", "", "it is not what its Content-Encoding " + std::string(CodingName(coding)) +
                                                            " says: " + std::move(cause));
}

// Output that grows by doubling up to its limit.
class BoundedOutput {
 public:
  explicit BoundedOutput(size_t limit_bytes) : limit_(limit_bytes) {}

  // Room for at least one more byte, one beyond the limit at most; the used part grows by what is Taken.
  std::span<char> Room() {
    if (used_ == text_.size()) text_.resize(std::min(limit_ + 1, std::max(kFirstChunkBytes, 2 * text_.size())));
    return {text_.data() + used_, text_.size() - used_};
  }
  void Take(size_t bytes) { used_ += bytes; }
  bool OverLimit() const { return used_ > limit_; }
  std::string Finish() {
    text_.resize(used_);
    text_.reserve(used_ + kSpareBytes);
    return std::move(text_);
  }

 private:
  const size_t limit_;
  size_t used_ = 0;
  std::string text_;
};

std::unexpected<Error> OverLimit(size_t limit_bytes) {
  return Fail(ErrorCode::kTooLarge, "read the body", "", "unpacked it is larger than " + std::to_string(limit_bytes) + " bytes");
}

struct Inflater : z_stream {
  Inflater() : z_stream{} {}
  ~Inflater() { inflateEnd(this); }
};

Result<std::string> Inflate(Coding coding, std::string_view body, size_t limit_bytes) {
  Inflater stream;
  if (inflateInit2(&stream, coding == Coding::kGzip ? kGzipWindowBits : kZlibWindowBits) != Z_OK) {
    return Fail(ErrorCode::kInternal, "read the body", "", "zlib does not start");
  }
  BoundedOutput output(limit_bytes);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  for (;;) {
    std::span<char> room = output.Room();
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out = static_cast<uInt>(room.size());
    const int state = inflate(&stream, Z_NO_FLUSH);
    output.Take(room.size() - stream.avail_out);
    if (output.OverLimit()) return OverLimit(limit_bytes);
    if (state == Z_STREAM_END) {
      if (stream.avail_in == 0) return output.Finish();
      if (coding != Coding::kGzip || inflateReset(&stream) != Z_OK) return Broken(coding, "something follows its end");
    } else if (state != Z_OK) {
      return Broken(coding, state == Z_BUF_ERROR ? "it ends early" : stream.msg ? stream.msg : "it is damaged");
    }
  }
}

struct FreeZstd {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

Result<std::string> Unzstd(std::string_view body, size_t limit_bytes) {
  std::unique_ptr<ZSTD_DStream, FreeZstd> stream(ZSTD_createDStream());
  if (!stream || ZSTD_isError(ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kZstdWindowLog))) {
    return Fail(ErrorCode::kInternal, "read the body", "", "zstd does not start");
  }
  BoundedOutput output(limit_bytes);
  ZSTD_inBuffer in{.src = body.data(), .size = body.size(), .pos = 0};
  size_t state = 1;  // 0 = at the end of a frame with all of it written out
  for (;;) {
    std::span<char> room = output.Room();
    ZSTD_outBuffer out{.dst = room.data(), .size = room.size(), .pos = 0};
    const size_t before = in.pos;
    state = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(state)) return Broken(Coding::kZstd, ZSTD_getErrorName(state));
    output.Take(out.pos);
    if (output.OverLimit()) return OverLimit(limit_bytes);
    if (state == 0 && in.pos == in.size) return output.Finish();
    if (in.pos == before && out.pos == 0) return Broken(Coding::kZstd, "it ends early");
  }
}

Result<std::string> Gzip(std::string_view body) {
  struct Deflater : z_stream {
    Deflater() : z_stream{} {}
    ~Deflater() { deflateEnd(this); }
  } stream;
  const auto refused = [] { return Fail(ErrorCode::kInternal, "compress the answer", "", "zlib refuses"); };
  constexpr int kMemoryLevel = 8;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) return refused();
  std::string text(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return refused();
  text.resize(stream.total_out);
  return text;
}

Result<std::string> Zstd(std::string_view body) {
  constexpr int kFastestLevel = 1;
  std::string text(ZSTD_compressBound(body.size()), '\0');
  const size_t size = ZSTD_compress(text.data(), text.size(), body.data(), body.size(), kFastestLevel);
  if (ZSTD_isError(size)) return Fail(ErrorCode::kInternal, "compress the answer", "", ZSTD_getErrorName(size));
  text.resize(size);
  return text;
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

bool SameWord(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// The weight in "gzip;q=0.5": 1 where none is given, 0 where it cannot be read.
double Weight(std::string_view parameters) {
  if (parameters.empty()) return 1;
  parameters = Trimmed(parameters.substr(1));
  if (!parameters.starts_with("q=") && !parameters.starts_with("Q=")) return 0;
  double weight = 0;
  const auto [end, error] = std::from_chars(parameters.data() + 2, parameters.data() + parameters.size(), weight);
  return error == std::errc() && weight >= 0 && weight <= 1 ? weight : 0;
}

}  // namespace

std::string_view CodingName(Coding coding) {
  switch (coding) {
    case Coding::kIdentity:
      return "identity";
    case Coding::kGzip:
      return "gzip";
    case Coding::kDeflate:
      return "deflate";
    case Coding::kZstd:
      return "zstd";
  }
  return "";
}

std::optional<Coding> ParseCoding(std::string_view content_encoding) {
  const std::string_view name = Trimmed(content_encoding);
  if (name.empty()) return Coding::kIdentity;
  if (SameWord(name, "x-gzip")) return Coding::kGzip;
  for (Coding coding : {Coding::kIdentity, Coding::kGzip, Coding::kDeflate, Coding::kZstd}) {
    if (SameWord(name, CodingName(coding))) return coding;
  }
  return std::nullopt;
}

Result<std::string> Decoded(Coding coding, std::string_view body, size_t limit_bytes) {
  switch (coding) {
    case Coding::kIdentity:
      return std::string(body);
    case Coding::kGzip:
    case Coding::kDeflate:
      return Inflate(coding, body, limit_bytes);
    case Coding::kZstd:
      return Unzstd(body, limit_bytes);
  }
  return std::string(body);
}

Coding ChooseCoding(std::string_view accept_encoding) {
  double gzip = -1, zstd = -1, others = 0;  // -1 = not named
  while (!accept_encoding.empty()) {
    const size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view entry = Trimmed(accept_encoding.substr(0, comma));
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    const size_t semicolon = std::min(entry.find(';'), entry.size());
    const std::string_view name = Trimmed(entry.substr(0, semicolon));
    const double weight = Weight(entry.substr(semicolon));
    if (SameWord(name, "gzip") || SameWord(name, "x-gzip")) gzip = weight;
    if (SameWord(name, "zstd")) zstd = weight;
    if (name == "*") others = weight;
  }
  if (gzip < 0) gzip = others;
  if (zstd < 0) zstd = others;
  if (gzip <= 0 && zstd <= 0) return Coding::kIdentity;
  return zstd >= gzip ? Coding::kZstd : Coding::kGzip;
}

Result<std::string> Encoded(Coding coding, std::string_view body) {
  switch (coding) {
    case Coding::kGzip:
      return Gzip(body);
    case Coding::kZstd:
      return Zstd(body);
    case Coding::kIdentity:
    case Coding::kDeflate:
      break;
  }
  return Fail(ErrorCode::kInternal, "compress the answer", "", std::string(CodingName(coding)) + " is not made here");
}

}  // namespace ratchet::serving
