#include "serving/reaper.h"

#include <utility>

namespace fastserve {

Reaper& Reaper::Instance() {
  static Reaper* reaper = new Reaper;  // outlives every static that may still hold a servable
  return *reaper;
}

Reaper::Reaper() : thread_([this] { Run(); }) {}

void Reaper::Bury(std::function<void()> burial) {
  {
    const std::lock_guard lock(mutex_);
    pending_.push_back(std::move(burial));
  }
  wake_.notify_one();
}

void Reaper::Run() {
  for (;;) {
    std::vector<std::function<void()>> burials;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !pending_.empty(); });
      burials.swap(pending_);
    }
    for (const auto& burial : burials) burial();
  }
}

}  // namespace fastserve
