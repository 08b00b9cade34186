#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "base/status.h"
#include "serving/servable.h"

namespace fastserve {

// Python's reference to a servable, which can be given up early and tells when the session is gone.
// Threads: any, one at a time.
class ServableHandle {
 public:
  ServableHandle(ServablePtr servable, std::shared_future<void> unloaded)
      : servable_(std::move(servable)), unloaded_(std::move(unloaded)) {}

  // kFailedPrecondition after Release().
  Result<ServablePtr> Get() const {
    if (!servable_) return Status::FailedPrecondition("the servable has been released");
    return servable_;
  }
  void Release() { servable_.reset(); }
  bool WaitUnloaded(std::chrono::duration<double> timeout) const {
    return unloaded_.wait_for(timeout) == std::future_status::ready;
  }

 private:
  ServablePtr servable_;
  std::shared_future<void> unloaded_;
};

}  // namespace fastserve
