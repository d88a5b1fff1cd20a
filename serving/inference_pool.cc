#include "serving/inference_pool.h"

namespace ratchet::serving {

InferencePool::InferencePool(int threads, size_t waiting_limit) : jobs_(waiting_limit) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { WorkLoop(); });
}

InferencePool::~InferencePool() { Stop(); }

void InferencePool::Stop() {
  jobs_.Close();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void InferencePool::WorkLoop() {
  while (!jobs_.Drained()) {
    for (auto& job : jobs_.PopMany(1, std::chrono::milliseconds(1000))) job();
  }
}

}  // namespace ratchet::serving
