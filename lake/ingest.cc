#include "lake/ingest.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/names.h"
#include "lake/body_reader.h"
#include "lake/split_sink.h"

namespace ratchet::lake {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

class StreamingIngest final : public Ingest {
 public:
  StreamingIngest(IngestOptions options, std::string folder)
      : options_(std::move(options)), folder_(std::move(folder)), sink_(options_.split, folder_, options_.retired), body_(MakeBody()) {}

  ~StreamingIngest() override {
    body_.reset();
    (void)SystemFiles().RemoveAll(folder_);
  }

  Status Feed(std::string_view bytes) override {
    if (failed_) return std::unexpected(*failed_);
    if (finished_) return Fail(ErrorCode::kConflict, "take in the data", "", "the push is finished already");
    return Keep(FeedBody(bytes));
  }

  Result<IngestResult> Finish() override {
    if (failed_) return std::unexpected(*failed_);
    if (finished_) return Fail(ErrorCode::kConflict, "take in the data", "", "the push is finished already");
    finished_ = true;
    RATCHET_TRY(Keep(FinishBody()));
    auto result = sink_.Finish();
    body_.reset();
    if (!result) RATCHET_TRY(Keep(std::unexpected(result.error())));
    return result;
  }

 private:
  std::unique_ptr<BodyReader> MakeBody() {
    switch (options_.format) {
      case BodyFormat::kCsv:
        return MakeCsvBody(options_.schema, sink_);
      case BodyFormat::kJsonLines:
        return MakeJsonBody(options_.schema, sink_);
      case BodyFormat::kPack:
        return MakePackBody(options_.schema, sink_, folder_ + "/pushed.spool");
    }
    return nullptr;
  }

  // Remembers the first error, and frees at once the disk that the push has taken.
  Status Keep(Status status) {
    if (status) return status;
    failed_ = status.error();
    (void)SystemFiles().RemoveAll(folder_);
    return status;
  }

  Status FeedBody(std::string_view bytes) {
    fed_bytes_ += static_cast<std::int64_t>(bytes.size());
    if (fed_bytes_ > kMaxBodyBytes) {
      return Fail(ErrorCode::kTooLarge, "take in the data", "",
                  "the body is larger than " + std::to_string(kMaxBodyBytes >> 30) + " GiB", "Push it in parts");
    }
    if (options_.format == BodyFormat::kPack || started_) return body_->Feed(bytes);
    const std::size_t need = std::min(kByteOrderMark.size() - start_.size(), bytes.size());
    start_ += bytes.substr(0, need);
    bytes.remove_prefix(need);
    if (start_.size() < kByteOrderMark.size()) return {};
    RATCHET_TRY(FeedStart());
    return body_->Feed(bytes);
  }

  // The first bytes of a text: a byte order mark is passed over, UTF-16 is told from damage.
  Status FeedStart() {
    started_ = true;
    if (start_.starts_with("\xFF\xFE") || start_.starts_with("\xFE\xFF")) {
      auto failure = Fail(ErrorCode::kInvalid, "take in the data", "", "line 1: the text is UTF-16, not UTF-8",
                          "Save the file as UTF-8");
      failure.error().line = 1;
      return failure;
    }
    return body_->Feed(start_ == kByteOrderMark ? std::string_view() : std::string_view(start_));
  }

  Status FinishBody() {
    if (options_.format != BodyFormat::kPack && !started_) RATCHET_TRY(FeedStart());
    return body_->Finish();
  }

  const IngestOptions options_;
  const std::string folder_;  // of this push alone, in the staging folder
  SplitSink sink_;
  std::unique_ptr<BodyReader> body_;
  std::string start_;  // the first bytes of a text, until there are enough to know a byte order mark
  bool started_ = false;
  bool finished_ = false;
  std::int64_t fed_bytes_ = 0;
  std::optional<Error> failed_;
};

}  // namespace

Result<BodyFormat> BodyFormatFromContentType(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (type == "text/csv") return BodyFormat::kCsv;
  if (type == "application/x-ndjson" || type == "application/jsonl") return BodyFormat::kJsonLines;
  if (type == "application/vnd.ratchet.pack") return BodyFormat::kPack;
  return Fail(ErrorCode::kInvalid, "take in the data", "", "the content type " + Quoted(type) + " is not known",
              "Send text/csv, application/x-ndjson or application/vnd.ratchet.pack");
}

Result<std::unique_ptr<Ingest>> Ingest::Start(IngestOptions options) {
  RATCHET_TRY(CheckSplitPolicy(options.split));
  if (options.schema) {
    RATCHET_TRY(CheckSchema(*options.schema));
    RATCHET_TRY(CheckSplitKey(options.split, *options.schema));
  }
  std::string folder = options.staging + "/push-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return FailErrno("make a staging folder in", options.staging, errno);
  return std::make_unique<StreamingIngest>(std::move(options), std::move(folder));
}

}  // namespace ratchet::lake
