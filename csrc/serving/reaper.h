#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fastserve {

// The thread on which loaded models are destroyed: freeing a TensorFlow session can take long, and
// the last reference to one may be dropped by a thread that has requests to serve.
class Reaper {
 public:
  // The process's reaper; started on first use and never stopped.
  static Reaper& Instance();

  // Runs `burial` soon, on the reaper's thread. Never blocks on a burial. Any thread.
  void Bury(std::function<void()> burial);

 private:
  Reaper();
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> pending_;
  std::thread thread_;
};

}  // namespace fastserve
