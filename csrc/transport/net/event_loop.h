#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/block_pool.h"
#include "base/status.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// One thread's epoll instance: file descriptors, timers, and a mailbox for other threads.
// A turn waits for events, then runs: ready watchers, the mailbox, due timers, deferred work.
// Threads: Post(), Stop() and InLoop() from any; all else on the loop's thread, which is the one
//   inside Run() or Turn(). Until that begins, the creator may use everything.
// Owner: shared, so that who answers late still finds a loop to post to; see Post().
class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  // Told about a file descriptor. `events` are EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void OnReady(uint32_t events) = 0;
  };

  // Work put off to the end of a turn, so that it is done once for everything in the turn.
  class Deferred {
   public:
    virtual ~Deferred() = default;
    virtual void OnTurnEnd() = 0;

   private:
    friend class EventLoop;
    bool queued_ = false;
  };

  // Names a timer; false when it names none. Never used twice.
  struct TimerId {
    Clock::time_point when{};
    uint64_t sequence = 0;
    auto operator<=>(const TimerId&) const = default;
    explicit operator bool() const { return sequence != 0; }
  };

  // kResourceExhausted when the process is out of file descriptors.
  static Result<std::shared_ptr<EventLoop>> Create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs turns until Stop(). From then on the mailbox takes nothing.
  void Run();
  void Stop();
  // One turn that waits at most `limit` for something to do.
  void Turn(std::chrono::milliseconds limit);
  // True on the thread that runs this loop, inside a turn.
  bool InLoop() const;

  // Runs `task` on the loop's thread, in order of posting. Costs one eventfd write a burst.
  // After the loop has stopped the task is destroyed unrun.
  void Post(std::function<void()> task);

  // Watches `fd` (level-triggered) until Unwatch(); `watcher` lives until then.
  void Watch(int fd, uint32_t events, Watcher* watcher);
  void Rewatch(int fd, uint32_t events, Watcher* watcher);
  void Unwatch(int fd, Watcher* watcher);

  TimerId AddTimer(Clock::time_point when, std::function<void()> task);
  // Nothing happens when the timer has run or `id` names none.
  void CancelTimer(TimerId id);

  // Runs `work` once at the end of this turn, however often it is deferred till then.
  void Defer(Deferred* work);
  // How many share this turn, for those who divide it: ready watchers, and work put off until now.
  size_t sharers() const {
    return static_cast<size_t>(ready_end_) + deferred_.size() + running_deferred_.size();
  }
  // Forgets `work`, which is about to go.
  void Undefer(Deferred* work);

 private:
  EventLoop(UniqueFd epoll, UniqueFd wake);

  int WaitMs(std::chrono::milliseconds limit) const;
  void RunMailbox();
  void RunTimers();
  void RunDeferred();
  void CloseMailbox();

  const UniqueFd epoll_;
  const UniqueFd wake_;  // eventfd, edge-triggered: a write wakes, nobody reads it

  std::array<epoll_event, 64> ready_;
  int ready_begin_ = 0;  // ready_[ready_begin_, ready_end_) are still to be told
  int ready_end_ = 0;
  std::map<TimerId, std::function<void()>, std::less<>,
           PoolAllocator<std::pair<const TimerId, std::function<void()>>>>
      timers_;
  uint64_t last_timer_ = 0;
  std::vector<Deferred*> deferred_;
  std::vector<Deferred*> running_deferred_;
  std::vector<std::function<void()>> running_tasks_;
  std::atomic<bool> stop_ = false;

  std::mutex mutex_;                          // guards what follows
  std::vector<std::function<void()>> tasks_;  // the mailbox
  std::atomic<bool> has_tasks_ = false;       // read without the lock
  bool closed_ = false;
};

}  // namespace fastserve
