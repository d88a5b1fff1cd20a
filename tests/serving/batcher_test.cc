#include "serving/batcher.h"

#include <gmock/gmock.h>

#include <atomic>

#include "serving/batch_tensors.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor Floats(std::vector<std::int64_t> shape, std::vector<float> values) {
  Tensor tensor{.name = "x", .datatype = Datatype::kFp32, .shape = std::move(shape)};
  tensor.data.resize(values.size() * sizeof(float));
  std::copy(values.begin(), values.end(), tensor.As<float>());
  return tensor;
}

std::vector<float> Values(const Tensor& tensor) {
  return {tensor.As<float>(), tensor.As<float>() + tensor.data.size() / sizeof(float)};
}

// Doubles its input, notes the rows of each call, and waits at a gate. Fails where a value is 666.
class DoublingRunner final : public ModelRunner {
 public:
  explicit DoublingRunner(bool joinable = true, bool open = true) : joinable_(joinable), open_(open) {}
  bool Joinable() const override { return joinable_; }
  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    std::unique_lock lock(mutex_);
    calls_.push_back(inputs[0].Rows());
    ++begun_;
    changed_.wait(lock, [&] { return open_; });
    for (float value : Values(inputs[0]))
      if (value == 666) return Fail(ErrorCode::kInternal, "run model", "", "the model threw");
    for (size_t i = 0; i < inputs[0].data.size() / sizeof(float); ++i) inputs[0].As<float>()[i] *= 2;
    return inputs;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  std::vector<std::int64_t> Calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  bool Begun() const { return begun_ > 0; }

 private:
  const bool joinable_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::vector<std::int64_t> calls_;
  mutable std::atomic<int> begun_{0};
  bool open_;
};

class StillClock final : public Clock {
 public:
  std::int64_t WallUs() const override { return now_us; }
  std::int64_t MonotonicUs() const override { return now_us; }
  std::atomic<std::int64_t> now_us{1'000'000};
};

class BatcherTest : public ::testing::Test {
 protected:
  BatchQueuePtr Queue(bool joinable = true, bool open = true) {
    runner_ = std::make_shared<DoublingRunner>(joinable, open);
    return std::make_shared<BatchQueue>(runner_, std::make_shared<VersionMetrics>());
  }
  // The outcome is put in its place among the answers.
  Status Submit(Batcher& batcher, const BatchQueuePtr& queue, Tensor input, std::int64_t deadline_us = kNoDeadline,
                Batcher::Where where = Batcher::Where::kComputingThread) {
    const size_t place = submitted_++;
    BatchItem item{.inputs = {std::move(input)}, .deadline_us = deadline_us, .done = [this, place](auto outputs) {
                     std::lock_guard lock(mutex_);
                     answers_.emplace(place, std::move(outputs));
                     ++answered_;
                   }};
    return batcher.Submit(queue, item, where);
  }
  std::vector<float> Answer(size_t place) {
    std::lock_guard lock(mutex_);
    auto found = answers_.find(place);
    return found == answers_.end() || !found->second ? std::vector<float>{} : Values((*found->second)[0]);
  }
  Error Failure(size_t place) { return answers_.at(place).error(); }
  // As many calls as it takes to know what one costs: nothing, by a clock that stands still.
  void Acquaint(Batcher& batcher, const BatchQueuePtr& queue) {
    for (int i = 1; i <= 8; ++i) {
      ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {0})));
      ASSERT_TRUE(Eventually([&] { return answered_ == submitted_; }));
    }
  }

  StillClock clock_;
  std::shared_ptr<DoublingRunner> runner_;
  std::mutex mutex_;
  std::map<size_t, Result<std::vector<Tensor>>> answers_;
  std::atomic<size_t> answered_{0};
  size_t submitted_ = 0;
};

TEST_F(BatcherTest, JoinsWhatCameInWhileTheModelWasBusy) {
  const BatchQueuePtr queue = Queue(true, false);
  Batcher batcher(1, {}, clock_);
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 2}, {1, 2})));
  ASSERT_TRUE(Eventually([&] { return runner_->Begun(); }));
  for (float i = 0; i < 5; ++i) ASSERT_TRUE(Submit(batcher, queue, Floats({1, 2}, {i, 10})));
  ASSERT_TRUE(Submit(batcher, queue, Floats({2, 2}, {7, 8, 9, 10})));
  runner_->Open();
  ASSERT_TRUE(Eventually([&] { return answered_ == 7; }));
  EXPECT_THAT(runner_->Calls(), ElementsAre(1, 7));
  EXPECT_THAT(Answer(4), ElementsAre(6, 20));
  EXPECT_THAT(Answer(6), ElementsAre(14, 16, 18, 20));
}

TEST_F(BatcherTest, KeepsToTheMostRowsAndToLikeShapes) {
  const BatchQueuePtr queue = Queue(true, false);
  Batcher batcher(1, {.rows = 3}, clock_);
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Eventually([&] { return runner_->Begun(); }));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
    ASSERT_TRUE(Submit(batcher, queue, Floats({1, 2}, {1, 2})));
  }
  ASSERT_TRUE(Submit(batcher, queue, Floats({5, 2}, std::vector<float>(10, 4))));
  runner_->Open();
  ASSERT_TRUE(Eventually([&] { return answered_ == 10; }));
  EXPECT_THAT(runner_->Calls(), ::testing::UnorderedElementsAre(1, 3, 3, 1, 1, 5));
  EXPECT_EQ(Answer(9).size(), 10u);
}

TEST_F(BatcherTest, RunsEachRequestAloneWhereAnswersDependOnTheirCompany) {
  const BatchQueuePtr queue = Queue(false, false);
  Batcher batcher(1, {}, clock_);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  runner_->Open();
  ASSERT_TRUE(Eventually([&] { return answered_ == 3; }));
  EXPECT_THAT(runner_->Calls(), ElementsAre(1, 1, 1));
}

TEST_F(BatcherTest, LetsOneBadRequestFailAlone) {
  const BatchQueuePtr queue = Queue(true, false);
  Batcher batcher(1, {}, clock_);
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Eventually([&] { return runner_->Begun(); }));
  for (float value : {2.0f, 666.0f, 3.0f}) ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {value})));
  runner_->Open();
  ASSERT_TRUE(Eventually([&] { return answered_ == 4; }));
  EXPECT_THAT(Answer(1), ElementsAre(4));
  EXPECT_THAT(Answer(3), ElementsAre(6));
  EXPECT_EQ(Failure(2).code, ErrorCode::kInternal);
}

TEST_F(BatcherTest, DoesNotBeginWhatIsPastItsDeadline) {
  const BatchQueuePtr queue = Queue(true, false);
  Batcher batcher(1, {}, clock_);
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Eventually([&] { return runner_->Begun(); }));
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1}), clock_.now_us + 1000));
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1}), clock_.now_us + 100'000));
  clock_.now_us += 50'000;
  runner_->Open();
  ASSERT_TRUE(Eventually([&] { return answered_ == 3; }));
  EXPECT_EQ(Failure(1).code, ErrorCode::kTimeout);
  EXPECT_THAT(Answer(2), ElementsAre(2));
  EXPECT_THAT(runner_->Calls(), ElementsAre(1, 1));
}

TEST_F(BatcherTest, RefusesAtOnceWhatWouldWaitTooLong) {
  class TenMsRunner final : public ModelRunner {
   public:
    explicit TenMsRunner(StillClock& clock) : clock_(clock) {}
    Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
      while (held_) std::this_thread::yield();
      clock_.now_us += 10'000 * inputs[0].Rows();
      return inputs;
    }
    StillClock& clock_;
    mutable std::atomic<bool> held_{false};
  };
  auto runner = std::make_shared<TenMsRunner>(clock_);
  const auto queue = std::make_shared<BatchQueue>(runner, std::make_shared<VersionMetrics>());
  Batcher batcher(1, {.rows = 4}, clock_);
  Acquaint(batcher, queue);
  runner->held_ = true;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  // Nine or ten rows of ten milliseconds are ahead.
  auto refused = Submit(batcher, queue, Floats({1, 1}, {1}), clock_.now_us + 50'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_THAT(refused.error().Message(), HasSubstr("ms, longer than its deadline"));
  EXPECT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1}), clock_.now_us + 200'000));
  runner->held_ = false;
}

TEST_F(BatcherTest, RefusesWhenItsQueueIsFullOrItHasStopped) {
  const BatchQueuePtr queue = Queue(true, false);
  Batcher batcher(1, {.waiting = 2}, clock_);
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Eventually([&] { return runner_->Begun(); }));
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  EXPECT_EQ(Submit(batcher, queue, Floats({1, 1}, {1})).error().code, ErrorCode::kOverloaded);
  runner_->Open();
  batcher.Stop();
  EXPECT_EQ(answered_, 3u);
  EXPECT_EQ(Submit(batcher, queue, Floats({1, 1}, {1})).error().code, ErrorCode::kUnavailable);
}

TEST_F(BatcherTest, ComputesARoundOnTheThreadThatReadItOnceItKnowsThatItIsShort) {
  const BatchQueuePtr queue = Queue();
  Batcher batcher(1, {}, clock_);
  Acquaint(batcher, queue);
  const size_t before = answered_;
  for (float i = 1; i <= 3; ++i)
    ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {i}), kNoDeadline, Batcher::Where::kThisRound));
  EXPECT_EQ(answered_, before);
  batcher.RunRound();
  EXPECT_EQ(answered_, before + 3);
  EXPECT_THAT(Answer(before + 2), ElementsAre(6));
  EXPECT_EQ(runner_->Calls().back(), 3);
  batcher.RunRound();
  EXPECT_EQ(answered_, before + 3);
}

TEST_F(BatcherTest, WaitsForMoreWhereToldTo) {
  const BatchQueuePtr queue = Queue();
  SystemClock clock;
  Batcher batcher(2, {.rows = 3, .delay_us = 60'000'000}, clock);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Submit(batcher, queue, Floats({1, 1}, {1})));
  ASSERT_TRUE(Eventually([&] { return answered_ == 3; }));
  EXPECT_THAT(runner_->Calls(), ElementsAre(3));
}

TEST_F(BatcherTest, AnswersEveryRequestOfManyThreads) {
  const BatchQueuePtr queue = Queue();
  SystemClock clock;
  Batcher batcher(2, {.waiting = 800}, clock);
  std::atomic<int> right{0}, done{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 200; ++i) {
        const auto value = static_cast<float>(client * 1000 + i);
        BatchItem item{.inputs = {Floats({1, 1}, {value})}, .deadline_us = kNoDeadline, .done = [&, value](auto outputs) {
                         if (outputs && Values((*outputs)[0]) == std::vector<float>{2 * value}) ++right;
                         ++done;
                       }};
        const auto where = i % 2 == 0 ? Batcher::Where::kThisRound : Batcher::Where::kComputingThread;
        ASSERT_TRUE(batcher.Submit(queue, item, where));
        if (i % 3 == 0) batcher.RunRound();
      }
      batcher.RunRound();
    });
  }
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(Eventually([&] { return done == 800; }));
  EXPECT_EQ(right, 800);
}

TEST(BatchTensors, JoinAndSplitAreInverse) {
  const Tensor texts{.name = "t", .datatype = Datatype::kBytes, .shape = {2}, .data = {}, .texts = {"a", "b"}};
  const Tensor more{.name = "t", .datatype = Datatype::kBytes, .shape = {1}, .data = {}, .texts = {"c"}};
  const std::vector<Tensor> a = {Floats({2, 2}, {1, 2, 3, 4}), texts}, b = {Floats({1, 2}, {5, 6}), more};
  ASSERT_TRUE(Joinable(a, b));
  const std::vector<const std::vector<Tensor>*> parts = {&a, &b};
  const std::vector<Tensor> whole = JoinRows(parts);
  EXPECT_THAT(whole[0].shape, ElementsAre(3, 2));
  EXPECT_THAT(whole[1].texts, ElementsAre("a", "b", "c"));
  const std::vector<std::int64_t> rows = {2, 1};
  const auto split = SplitRows(whole, rows);
  EXPECT_THAT(Values(split[0][0]), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Values(split[1][0]), ElementsAre(5, 6));
  EXPECT_THAT(split[0][1].texts, ElementsAre("a", "b"));
  EXPECT_THAT(split[1][1].shape, ElementsAre(1));
}

TEST(BatchTensors, JoinNothingOfOtherShapesOrTypes) {
  const std::vector<Tensor> a = {Floats({1, 2}, {1, 2})}, b = {Floats({1, 3}, {1, 2, 3})};
  std::vector<Tensor> c = a;
  c[0].datatype = Datatype::kInt32;
  EXPECT_FALSE(Joinable(a, b));
  EXPECT_FALSE(Joinable(a, c));
  EXPECT_TRUE(Joinable(a, {Floats({7, 2}, std::vector<float>(14))}));
}

TEST(BatchCost, FindsWhatACallAndWhatARowCosts) {
  BatchCost cost;
  for (int i = 0; i < 7; ++i) cost.Saw(1, 50);
  EXPECT_EQ(cost.Expect(1), 0);
  for (int i = 0; i < 40; ++i) cost.Saw(1 + i % 20, 40 + 10 * (1 + i % 20));
  EXPECT_NEAR(static_cast<double>(cost.Expect(1)), 50, 2);
  EXPECT_NEAR(static_cast<double>(cost.Expect(64)), 680, 20);
}

TEST(BatchCost, TakesARowsShareWhereAllCallsAreAlike) {
  BatchCost cost;
  for (int i = 0; i < 20; ++i) cost.Saw(4, 400);
  EXPECT_EQ(cost.Expect(4), 400);
  EXPECT_EQ(cost.Expect(8), 800);
}

}  // namespace
}  // namespace ratchet::serving
