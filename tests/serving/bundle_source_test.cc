#include "serving/bundle_source.h"

#include <gmock/gmock.h>
#include <httplib.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "serving/control_client.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

const std::string kModel = "the weights of a model, 40 bytes of them";

class BundleSourceTest : public ::testing::Test {
 protected:
  BundleSourceTest() {
    spdlog::set_level(spdlog::level::off);
    bundle_ = PutBundle(folder_ / "store", kModel, SmallSignature());
  }
  std::string Blob(const std::string& sha256) { return *files_.Read(PathIn("store", sha256), 1 << 20); }
  std::string PathIn(const std::string& where, const std::string& sha256) {
    return folder_ / (where + "/sha256/" + sha256.substr(0, 2) + "/" + sha256);
  }
  // A control plane that sends at most so many bytes of the model before the line breaks; `cuts` says how often.
  BundleSource Source(size_t bytes_at_once, int cuts) {
    return {files_, folder_ / "cache",
            [this, bytes_at_once, left = std::make_shared<int>(cuts)](const std::string& sha256, const std::string& path,
                                                                      std::uint64_t) -> Status {
              std::error_code none;
              const std::uint64_t had = std::filesystem::exists(path, none) ? std::filesystem::file_size(path) : 0;
              asked_from_.push_back(had);
              const bool cut = Blob(sha256) == kModel && (*left)-- > 0;
              std::ofstream(path, std::ios::binary | std::ios::app) << Blob(sha256).substr(had, cut ? bytes_at_once : std::string::npos);
              if (cut) return Fail(ErrorCode::kUnavailable, "fetch blob", sha256, "the line broke");
              return {};
            },
            [this](std::int64_t wait_us) { return waits_.push_back(wait_us), true; }};
  }

  TemporaryFolder folder_;
  SystemFiles files_;
  std::string bundle_;
  std::vector<std::uint64_t> asked_from_;
  std::vector<std::int64_t> waits_;
};

TEST_F(BundleSourceTest, GoesOnFromWhatHasComeWhenTheLineBreaks) {
  auto opened = Source(15, 2).Open(bundle_);
  ASSERT_TRUE(opened) << opened.error().Message();
  EXPECT_EQ(*files_.Read(opened->model_path, 100), kModel);
  EXPECT_EQ(asked_from_, (std::vector<std::uint64_t>{0, 0, 15, 30})) << "the manifest, then the model in three parts";
  EXPECT_EQ(waits_, (std::vector<std::int64_t>{BundleSource::kFirstWaitUs, BundleSource::kFirstWaitUs}));
}

TEST_F(BundleSourceTest, GivesUpWhereNothingComesAndGoesOnNextTime) {
  auto refused = Source(10, 4).Open(bundle_);
  EXPECT_TRUE(refused) << "each try brings something";
  std::filesystem::remove_all(folder_ / "cache");
  waits_.clear();

  refused = Source(0, 1 << 20).Open(bundle_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(waits_, (std::vector<std::int64_t>{100'000, 200'000, 400'000, 800'000}));

  const std::string model = Sha256Hex(kModel);
  std::ofstream(PathIn("cache", model) + ".part", std::ios::binary) << kModel.substr(0, 7);
  asked_from_.clear();
  ASSERT_TRUE(Source(0, 0).Open(bundle_));
  EXPECT_EQ(asked_from_, (std::vector<std::uint64_t>{7})) << "what another process left is used";
}

TEST_F(BundleSourceTest, TakesAPartThatIsWholeAndBeginsAnewAfterAWrongOne) {
  const std::string model = Sha256Hex(kModel);
  ASSERT_TRUE(Source(0, 0).Open(bundle_));
  std::filesystem::rename(PathIn("cache", model), PathIn("cache", model) + ".part");
  asked_from_.clear();
  ASSERT_TRUE(Source(0, 0).Open(bundle_));
  EXPECT_TRUE(asked_from_.empty());

  std::filesystem::remove(PathIn("cache", model));
  std::ofstream(PathIn("cache", model) + ".part", std::ios::binary) << "something else";
  const auto wrong = Source(0, 0).Open(bundle_);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(Source(0, 0).Open(bundle_));
}

TEST_F(BundleSourceTest, KeepsPartsOfWhatIsWantedOnly) {
  const std::string model = Sha256Hex(kModel), other = Sha256Hex("other");
  BundleSource source = Source(0, 0);
  ASSERT_TRUE(source.Open(bundle_));
  std::filesystem::rename(PathIn("cache", model), PathIn("cache", model) + ".part");
  std::filesystem::create_directories(std::filesystem::path(PathIn("cache", other)).parent_path());
  std::ofstream(PathIn("cache", other) + ".part") << "oth";
  source.KeepOnly({bundle_});
  EXPECT_TRUE(std::filesystem::exists(PathIn("cache", model) + ".part"));
  EXPECT_FALSE(std::filesystem::exists(PathIn("cache", other) + ".part"));
}

// The wire: the library behind this server answers ranges by itself.
class FetchBlobTest : public BundleSourceTest {
 protected:
  FetchBlobTest() {
    server_.Get("/api/v1/blobs/.*", [this](const httplib::Request& request, httplib::Response& response) {
      std::lock_guard lock(mutex_);
      ranges_.push_back(request.get_header_value("Range"));
      if (status_ != 200) response.status = status_;
      else response.set_content(kModel, "application/octet-stream");
    });
    const int port = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    Eventually([this] { return server_.is_running(); });
    control_ = *ControlClient::Create("http://127.0.0.1:" + std::to_string(port), "r");
  }
  ~FetchBlobTest() override {
    server_.stop();
    thread_.join();
  }
  Status Fetch(std::uint64_t limit = 1000) { return control_->FetchBlob(Sha256Hex(kModel), folder_ / "part", limit); }

  httplib::Server server_;
  std::thread thread_;
  std::mutex mutex_;
  int status_ = 200;
  std::vector<std::string> ranges_;
  std::unique_ptr<ControlClient> control_;
};

TEST_F(FetchBlobTest, AsksForTheRestOfWhatIsThere) {
  std::ofstream(folder_ / "part", std::ios::binary) << kModel.substr(0, 11);
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(*files_.Read(folder_ / "part", 100), kModel);
  EXPECT_EQ(ranges_, (std::vector<std::string>{"bytes=11-"}));
}

TEST_F(FetchBlobTest, FetchesTheWholeIntoANewFile) {
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(*files_.Read(folder_ / "part", 100), kModel);
  EXPECT_EQ(ranges_, (std::vector<std::string>{""}));
}

TEST_F(FetchBlobTest, KeepsWhatHasComeWhereTheServerIsBusyAndTellsTheReasonsApart) {
  std::ofstream(folder_ / "part", std::ios::binary) << kModel.substr(0, 11);
  const struct {
    int status;
    ErrorCode code;
  } cases[] = {{503, ErrorCode::kUnavailable}, {429, ErrorCode::kUnavailable}, {500, ErrorCode::kUnavailable}, {404, ErrorCode::kNotFound}};
  for (const auto& [status, code] : cases) {
    status_ = status;
    EXPECT_EQ(Fetch().error().code, code) << status;
    EXPECT_EQ(std::filesystem::file_size(folder_ / "part"), 11u);
  }
  status_ = 200;
  EXPECT_EQ(Fetch(20).error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace ratchet::serving
