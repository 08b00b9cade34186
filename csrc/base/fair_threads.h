#pragma once

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fastserve {

// What FairThreads serve. Besides what is here a queue has these, called with their mutex held:
//   bool empty() const;
//   // Work to do now, to be called once by a thread; nothing while all of it must wait.
//   std::optional<...> Take(std::chrono::steady_clock::time_point now);
//   // When Take() will have something, for a queue that is not empty.
//   std::optional<std::chrono::steady_clock::time_point> NextRunnable() const;
// It may be destroyed while it is empty.
class FairQueue {
 public:
  bool running() const { return *running_ > 0; }

 private:
  template <class Queue>
  friend class FairThreads;
  const std::shared_ptr<size_t> running_ = std::make_shared<size_t>(0);  // may outlive the queue
};

// Threads that serve queues by turns, one piece of work each. While all of them are busy, a queue
// of whose work none runs is served by a spare thread, which is made when it is first needed: one
// queue's long work leaves the others their share of the CPUs.
template <class Queue>
class FairThreads {
 public:
  using Clock = std::chrono::steady_clock;

  // `name` is that of the threads.
  FairThreads(int threads, int spare_threads, const std::string& name)
      : usual_(static_cast<size_t>(threads)),
        most_(static_cast<size_t>(threads + spare_threads)),
        name_(name.substr(0, 15)) {  // the kernel keeps so many characters
    for (size_t i = 0; i < usual_; ++i) Spawn();
  }
  ~FairThreads() { Stop(); }  // so not on one of the threads
  FairThreads(const FairThreads&) = delete;
  FairThreads& operator=(const FairThreads&) = delete;

  // Guards the queues; not held over work.
  std::mutex& mutex() { return mutex_; }

  // These with the mutex held. False once the threads stop: nothing may be added any more.
  bool serving() const { return !stopping_; }
  // `queue` has got more work; `was_empty`: it had none before.
  void OnAdded(Queue& queue, bool was_empty) {
    if (was_empty) waiting_.push_back(&queue);
    Rouse();
  }
  // Changes the queues that are not empty, so that they may have work to do sooner.
  template <class Change>
  void ChangeAll(Change change) {
    for (Queue* queue : waiting_) change(*queue);
    wake_.notify_all();
  }

  // Has what waits done, then joins the threads. Not on one of them, and without the mutex.
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  bool MayBegin(const Queue* queue) const { return running_ < usual_ || !queue->running(); }

  void Spawn() {
    threads_.emplace_back([this] { Serve(); });
    ::pthread_setname_np(threads_.back().native_handle(), name_.c_str());
  }

  // Has a thread come for what may be begun, or wait until it may.
  void Rouse() {
    if (std::none_of(waiting_.begin(), waiting_.end(),
                     [this](const Queue* queue) { return MayBegin(queue); })) {
      return;
    }
    if (idle_ > 0) {
      wake_.notify_one();
    } else if (!stopping_ && running_ == threads_.size() && threads_.size() < most_) {
      Spawn();
    }
  }

  // Does the work whose turn it is; false when there is none yet.
  bool RunNext(std::unique_lock<std::mutex>& lock) {
    for (auto next = waiting_.begin(); next != waiting_.end(); ++next) {
      Queue* queue = *next;
      if (!MayBegin(queue)) continue;
      auto work = queue->Take(Clock::now());
      if (!work) continue;
      waiting_.erase(next);
      if (!queue->empty()) waiting_.push_back(queue);
      Run(lock, std::move(work), queue->running_);
      return true;
    }
    return false;
  }

  template <class Work>
  void Run(std::unique_lock<std::mutex>& lock, Work work, std::shared_ptr<size_t> of_queue) {
    ++*of_queue;
    ++running_;
    Rouse();
    lock.unlock();
    (*work)();
    work.reset();  // what it holds may be the last reference to a model
    lock.lock();
    --running_;
    --*of_queue;
  }

  void Wait(std::unique_lock<std::mutex>& lock) {
    std::optional<Clock::time_point> until;
    for (const Queue* queue : waiting_) {
      if (!MayBegin(queue)) continue;
      const auto next = queue->NextRunnable();
      if (next && (!until || *next < *until)) until = next;
    }
    ++idle_;
    if (until) {
      wake_.wait_until(lock, *until);
    } else {
      wake_.wait(lock);
    }
    --idle_;
  }

  void Serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (RunNext(lock)) continue;
      if (stopping_) return;  // what waits still is for the threads that run others of its queue
      Wait(lock);
    }
  }

  const size_t usual_;
  const size_t most_;
  const std::string name_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Queue*> waiting_;  // that are not empty; the next to be served first
  size_t running_ = 0;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
