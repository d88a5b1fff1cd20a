#include "serving/batcher.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "serving/batch_tensors.h"

namespace ratchet::serving {
namespace {

constexpr std::int64_t kLongCallUs = 100'000;  // more rows than take so long gain nothing by one call, and wait for each other

// What one thread has read and will compute when it has read all there was.
struct Round {
  const Batcher* batcher = nullptr;
  BatchQueuePtr queue;
  std::vector<BatchItem> items;
  std::int64_t rows = 0;
};
thread_local std::vector<Round> this_round;

std::int64_t ThreadTimeUs() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return spent.tv_sec * std::int64_t{1'000'000} + spent.tv_nsec / 1000;
}

std::unexpected<Error> Late(std::int64_t wait_us) {
  return Fail(ErrorCode::kOverloaded, "take request", "",
              "it would have to wait about " + std::to_string((wait_us + 999) / 1000) + " ms, longer than its deadline",
              "Try again later");
}

}  // namespace

Batcher::Batcher(int threads, BatchLimits limits, const Clock& clock) : limits_(limits), clock_(clock) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { WorkLoop(); });
}

void Batcher::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

Status Batcher::Submit(const BatchQueuePtr& queue, BatchItem& item, Where where) {
  if (where == Where::kThisRound && TakeIntoRound(queue, item)) return {};
  return Enqueue(queue, item);
}

bool Batcher::TakeIntoRound(const BatchQueuePtr& queue, BatchItem& item) {
  auto round = std::ranges::find_if(this_round, [&](const Round& one) { return one.batcher == this && one.queue == queue; });
  const std::int64_t rows = item.Rows() + (round == this_round.end() ? 0 : round->rows);
  {
    std::lock_guard lock(mutex_);
    if (!queue->thread_cost_.Known() || !queue->items_.empty() || stopping_ || limits_.delay_us > 0) return false;
    if (queue->thread_cost_.Expect(rows) > limits_.at_once_us) return false;
  }
  if (round == this_round.end()) round = this_round.insert(round, {.batcher = this, .queue = queue, .items = {}});
  round->items.push_back(std::move(item));
  round->rows = rows;
  return true;
}

void Batcher::RunRound() {
  std::vector<Round> mine = std::exchange(this_round, {});
  for (Round& round : mine) {
    Batch batch{.queue = round.queue, .items = {}};
    const bool joinable = round.queue->runner_->Joinable();
    for (BatchItem& item : round.items) {
      const bool fits = batch.items.empty() || (joinable && batch.rows + item.Rows() <= limits_.rows &&
                                                Joinable(batch.items.front().inputs, item.inputs));
      if (!fits) Run(std::exchange(batch, Batch{.queue = round.queue, .items = {}}));
      batch.rows += item.Rows();
      batch.items.push_back(std::move(item));
    }
    Run(std::move(batch));
  }
}

Status Batcher::Enqueue(const BatchQueuePtr& queue, BatchItem& item) {
  std::lock_guard lock(mutex_);
  RATCHET_TRY(CheckRoom(*queue, item.deadline_us));
  if (queue->items_.empty()) ready_.push_back(queue);
  queue->rows_ += item.Rows();
  queue->items_.push_back(std::move(item));
  queue->since_us_.push_back(clock_.MonotonicUs());
  queue->metrics_->waiting = static_cast<std::int64_t>(queue->items_.size());
  changed_.notify_one();
  return {};
}

Status Batcher::Admits(const BatchQueuePtr& queue, std::int64_t deadline_us) {
  std::lock_guard lock(mutex_);
  return CheckRoom(*queue, deadline_us);
}

Status Batcher::CheckRoom(const BatchQueue& queue, std::int64_t deadline_us) const {
  if (stopping_) return Fail(ErrorCode::kUnavailable, "take request", "", "the server is stopping", "Try again later");
  if (queue.items_.size() >= limits_.waiting)
    return Fail(ErrorCode::kOverloaded, "take request", "", "too many requests wait", "Try again later");
  if (deadline_us == kNoDeadline) return {};
  const std::int64_t own_us = queue.cost_.Expect(std::min(MostRows(queue), queue.rows_ + 1));
  const std::int64_t wait_us = WaitUs(queue) + own_us;
  return clock_.MonotonicUs() + wait_us > deadline_us ? Status(Late(wait_us)) : Status();
}

// The calls that the queue makes by itself, spread over the threads; what other versions do is not foreseen.
std::int64_t Batcher::WaitUs(const BatchQueue& queue) const {
  const std::int64_t call_rows = queue.runner_->Joinable() ? limits_.rows : 1;
  const std::int64_t calls = queue.rows_ / call_rows, rest = queue.rows_ % call_rows;
  const std::int64_t ahead_us = calls * queue.cost_.Expect(call_rows) + (rest > 0 ? queue.cost_.Expect(rest) : 0);
  return (ahead_us + queue.running_us_) / std::max<std::int64_t>(1, static_cast<std::int64_t>(threads_.size()));
}

// When the queue's next batch is to be run.
std::int64_t Batcher::DueUs(const BatchQueue& queue, std::int64_t now_us) const {
  if (limits_.delay_us == 0 || stopping_ || queue.rows_ >= limits_.rows) return now_us;
  return queue.since_us_.front() + limits_.delay_us;
}

// Rows of the next call. What takes long is shared with the threads that have nothing to do.
std::int64_t Batcher::MostRows(const BatchQueue& queue) const {
  if (!queue.runner_->Joinable()) return 1;
  const bool is_long = queue.cost_.Expect(std::min(queue.rows_, limits_.rows)) > limits_.at_once_us;
  const std::int64_t share = is_long ? (queue.rows_ + idle_) / (1 + idle_) : queue.rows_;
  std::int64_t rows = std::clamp<std::int64_t>(share, 1, limits_.rows);
  while (rows > 1 && queue.cost_.Expect(rows) > kLongCallUs) rows = (rows + 1) / 2;
  return rows;
}

// The oldest item and those that can be joined to it. Others keep their order.
Batcher::Batch Batcher::Take(const BatchQueuePtr& queue) {
  Batch batch{.queue = queue, .items = {}};
  const bool joinable = queue->runner_->Joinable();
  const std::int64_t most_rows = MostRows(*queue);
  std::deque<BatchItem> left;
  std::deque<std::int64_t> left_since;
  while (!queue->items_.empty()) {
    BatchItem& item = queue->items_.front();
    const bool first = batch.items.empty();
    if (!first && (!joinable || batch.rows >= most_rows)) break;
    if (first || (batch.rows + item.Rows() <= most_rows && Joinable(batch.items.front().inputs, item.inputs))) {
      batch.rows += item.Rows();
      batch.items.push_back(std::move(item));
    } else {
      left.push_back(std::move(item));
      left_since.push_back(queue->since_us_.front());
    }
    queue->items_.pop_front();
    queue->since_us_.pop_front();
  }
  queue->items_.insert(queue->items_.begin(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
  queue->since_us_.insert(queue->since_us_.begin(), left_since.begin(), left_since.end());
  queue->rows_ -= batch.rows;
  batch.expected_us = queue->cost_.Expect(batch.rows);
  queue->running_us_ += batch.expected_us;
  queue->metrics_->waiting = static_cast<std::int64_t>(queue->items_.size());
  return batch;
}

// Waits for the next batch; false when all is done and Stop was called.
bool Batcher::Next(Batch& batch) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const std::int64_t now_us = clock_.MonotonicUs();
    std::int64_t first_us = kNoDeadline;
    for (auto place = ready_.begin(); place != ready_.end(); ++place) {
      const std::int64_t due_us = DueUs(**place, now_us);
      first_us = std::min(first_us, due_us);
      if (due_us > now_us) continue;
      const BatchQueuePtr queue = *place;
      ready_.erase(place);
      batch = Take(queue);
      if (queue->items_.empty()) return true;
      ready_.push_back(queue);
      changed_.notify_one();
      return true;
    }
    if (stopping_) return false;
    ++idle_;
    if (first_us == kNoDeadline)
      changed_.wait(lock);
    else
      changed_.wait_for(lock, std::chrono::microseconds(first_us - now_us));
    --idle_;
  }
}

void Batcher::WorkLoop() {
  Batch batch;
  while (Next(batch)) {
    const BatchQueuePtr queue = batch.queue;
    const std::int64_t expected_us = batch.expected_us;
    Run(std::exchange(batch, {}));
    std::lock_guard lock(mutex_);
    queue->running_us_ -= expected_us;
  }
}

void Batcher::Run(Batch batch) {
  Expire(batch);
  if (!batch.items.empty()) Compute(batch);
}

// Whoever asked has given up on these.
void Batcher::Expire(Batch& batch) const {
  const std::int64_t now_us = clock_.MonotonicUs();
  const auto expired = std::ranges::stable_partition(batch.items, [&](const BatchItem& item) { return item.deadline_us >= now_us; });
  for (BatchItem& item : expired) {
    batch.rows -= item.Rows();
    item.done(Fail(ErrorCode::kTimeout, "run model", "", "its deadline passed before its turn came", "Try again later"), 0);
  }
  batch.items.erase(expired.begin(), expired.end());
}

void Batcher::Compute(Batch& batch) {
  if (batch.items.size() == 1) return ComputeAlone(batch, batch.items.front());
  std::vector<const std::vector<Tensor>*> parts;
  std::vector<std::int64_t> rows;
  for (const BatchItem& item : batch.items) {
    parts.push_back(&item.inputs);
    rows.push_back(item.Rows());
  }
  std::int64_t took_us = 0;
  if (auto outputs = Call(batch, batch.rows, JoinRows(parts), took_us)) {
    auto answers = SplitRows(*outputs, rows);
    for (size_t i = 0; i < answers.size(); ++i) batch.items[i].done(std::move(answers[i]), took_us);
    return;
  }
  for (BatchItem& item : batch.items) ComputeAlone(batch, item);
}

void Batcher::ComputeAlone(const Batch& batch, BatchItem& item) {
  const std::int64_t rows = item.Rows();
  std::int64_t took_us = 0;
  auto outputs = Call(batch, rows, std::move(item.inputs), took_us);
  item.done(std::move(outputs), took_us);
}

Result<std::vector<Tensor>> Batcher::Call(const Batch& batch, std::int64_t rows, std::vector<Tensor> inputs,
                                          std::int64_t& took_us) {
  const std::int64_t begun_us = clock_.MonotonicUs(), spent_us = ThreadTimeUs();
  auto outputs = batch.queue->runner_->Run(std::move(inputs));
  took_us = clock_.MonotonicUs() - begun_us;
  batch.queue->metrics_->CountCall(rows, took_us);
  if (outputs) batch.queue->metrics_->statistics.CountExecution(rows, took_us);
  std::lock_guard lock(mutex_);
  if (!outputs) return outputs;
  batch.queue->cost_.Saw(rows, took_us);
  batch.queue->thread_cost_.Saw(rows, ThreadTimeUs() - spent_us);
  return outputs;
}

}  // namespace ratchet::serving
