#include "serving/shadow.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "serving/v2_protocol.h"

namespace ratchet::serving {
namespace {

constexpr int kNiceness = 15;  // beneath all that someone waits for
constexpr std::chrono::milliseconds kIdleWait{1000};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::int64_t BytesOf(const std::vector<Tensor>& tensors) {
  std::int64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    bytes += static_cast<std::int64_t>(tensor.data.size());
    for (const std::string& text : tensor.texts) bytes += static_cast<std::int64_t>(text.size() + sizeof text);
  }
  return bytes;
}

template <typename T>
double LargestOf(const Tensor& a, const Tensor& b) {
  double largest = 0;
  const size_t count = a.data.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(a.As<T>()[i]), y = static_cast<double>(b.As<T>()[i]);
    if (std::isnan(x) && std::isnan(y)) continue;
    const double difference = x == y ? 0 : std::abs(x - y);
    largest = std::max(largest, std::isnan(difference) ? kInfinity : difference);
  }
  return largest;
}

double LargestDifference(const Tensor& a, const Tensor& b) {
  if (a.name != b.name || a.datatype != b.datatype || a.shape != b.shape || a.data.size() != b.data.size()) return kInfinity;
  switch (a.datatype) {
    case Datatype::kBytes: return a.texts == b.texts ? 0 : kInfinity;
    case Datatype::kFp16:
    case Datatype::kFp32: return LargestOf<float>(a, b);
    case Datatype::kFp64: return LargestOf<double>(a, b);
    case Datatype::kBool:
    case Datatype::kUint8: return LargestOf<std::uint8_t>(a, b);
    case Datatype::kInt8: return LargestOf<std::int8_t>(a, b);
    case Datatype::kInt16: return LargestOf<std::int16_t>(a, b);
    case Datatype::kInt32: return LargestOf<std::int32_t>(a, b);
    case Datatype::kInt64: return LargestOf<std::int64_t>(a, b);
  }
  return kInfinity;
}

}  // namespace

OutputDifference CompareOutputs(const Signature& signature, const std::vector<Tensor>& live, const std::vector<Tensor>& shadow) {
  OutputDifference difference;
  if (live.size() != shadow.size()) return {true, kInfinity};
  for (size_t i = 0; i < live.size(); ++i) difference.largest = std::max(difference.largest, LargestDifference(live[i], shadow[i]));
  const auto one = v2::DeriveLabel(signature, live), other = v2::DeriveLabel(signature, shadow);
  const bool labels = one && other;
  difference.differs = labels ? one->data != other->data || one->texts != other->texts : difference.largest > kSameWithin;
  return difference;
}

ShadowRunner::ShadowRunner(const Clock& clock, ShadowLimits limits)
    : clock_(clock), limits_(limits), queue_(limits.waiting), thread_([this] { WorkLoop(); }) {}

void ShadowRunner::Stop() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<ShadowCopy> ShadowRunner::Copy(const Picked& picked, const std::vector<Tensor>& inputs) {
  if (!picked.shadow || picked.shadow->arms.empty()) return nullptr;
  const std::int64_t bytes = BytesOf(inputs);
  const bool room = bytes_.fetch_add(bytes) + bytes <= limits_.bytes;
  ByteLease lease(bytes_, bytes);
  if (!room || bytes > limits_.request_bytes) {
    picked.shadow->counts->shadow().Dropped();
    return nullptr;
  }
  return std::make_unique<ShadowCopy>(ShadowCopy{.split = picked.shadow, .inputs = inputs, .lease = std::move(lease),
                                                 .began_us = clock_.MonotonicUs(), .keyed = picked.keyed});
}

void ShadowRunner::Compare(std::unique_ptr<ShadowCopy> copy, const std::vector<Tensor>* live_outputs) {
  if (!copy) return;
  copy->live_us = clock_.MonotonicUs() - copy->began_us;
  copy->live_failed = live_outputs == nullptr;
  if (live_outputs) copy->live_outputs = *live_outputs;
  const std::shared_ptr<const ServedSplit> split = copy->split;
  if (queue_.TryPush(std::move(copy))) return;
  split->counts->shadow().Dropped();
}

void ShadowRunner::WorkLoop() {
  setpriority(PRIO_PROCESS, 0, kNiceness);  // on Linux: of the calling thread
  while (!queue_.Drained())
    for (auto& copy : queue_.PopMany(1, kIdleWait)) Run(*copy);
}

// Both answers are counted here, so that the two arms have the same requests. The shadow's time is that of its computing.
void ShadowRunner::Run(ShadowCopy& copy) {
  const ServedSplit::Arm& arm = copy.split->arms.front();
  const std::int64_t begin_us = clock_.MonotonicUs();
  const auto outputs = arm.version->runner->Run(std::move(copy.inputs));
  const std::int64_t took_us = clock_.MonotonicUs() - begin_us;
  if (arm.counter) arm.counter->Count(!outputs, copy.keyed, took_us);
  if (copy.split->live_counter) copy.split->live_counter->Count(copy.live_failed, copy.keyed, copy.live_us);
  if (!outputs || copy.live_failed) return;
  const OutputDifference difference = CompareOutputs(arm.version->signature, copy.live_outputs, *outputs);
  copy.split->counts->shadow().Compared(difference.differs, difference.largest);
}

}  // namespace ratchet::serving
