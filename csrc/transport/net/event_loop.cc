#include "transport/net/event_loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace fastserve {
namespace {

thread_local const EventLoop* current_loop = nullptr;

}  // namespace

Result<std::shared_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !wake) {
    return Status::ResourceExhausted(std::string("cannot make an event loop: ") +
                                     std::strerror(errno));
  }
  return std::shared_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)) {
  Watch(wake_.get(), EPOLLIN | EPOLLET, nullptr);
}

bool EventLoop::InLoop() const { return current_loop == this; }

void EventLoop::Run() {
  while (!stop_.load(std::memory_order_relaxed)) Turn(std::chrono::milliseconds::max());
  CloseMailbox();
}

void EventLoop::Stop() {
  Post([this] { stop_.store(true, std::memory_order_relaxed); });
}

void EventLoop::Turn(std::chrono::milliseconds limit) {
  current_loop = this;
  ready_end_ = epoll_wait(epoll_.get(), ready_.data(), ready_.size(), WaitMs(limit));
  for (ready_begin_ = 0; ready_begin_ < ready_end_;) {
    const epoll_event event = ready_[ready_begin_++];
    if (event.data.ptr) static_cast<Watcher*>(event.data.ptr)->OnReady(event.events);
  }
  RunMailbox();
  RunTimers();
  RunDeferred();
  current_loop = nullptr;  // else a later loop at this address would take this thread for its own
}

int EventLoop::WaitMs(std::chrono::milliseconds limit) const {
  if (!deferred_.empty()) return 0;
  auto wait = limit;
  if (!timers_.empty()) {
    // Rounded up: a timer that is not due yet must not make the loop spin.
    const auto until =
        std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.when - Clock::now());
    wait = std::clamp(until, std::chrono::milliseconds(0), limit);
  } else if (limit == std::chrono::milliseconds::max()) {
    return -1;
  }
  return static_cast<int>(std::min<int64_t>(wait.count(), 3'600'000));
}

void EventLoop::Post(std::function<void()> task) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    wake = tasks_.empty();
    tasks_.push_back(std::move(task));
    has_tasks_.store(true, std::memory_order_relaxed);
  }
  if (wake) eventfd_write(wake_.get(), 1);
}

void EventLoop::RunMailbox() {
  if (!has_tasks_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    running_tasks_.swap(tasks_);
    has_tasks_.store(false, std::memory_order_relaxed);
  }
  for (std::function<void()>& task : running_tasks_) task();
  running_tasks_.clear();
}

void EventLoop::CloseMailbox() {
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(tasks_);
  }
}

void EventLoop::Watch(int fd, uint32_t events, Watcher* watcher) {
  epoll_event event{.events = events, .data = {.ptr = watcher}};
  [[maybe_unused]] const int result = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  assert(result == 0);
}

void EventLoop::Rewatch(int fd, uint32_t events, Watcher* watcher) {
  epoll_event event{.events = events, .data = {.ptr = watcher}};
  [[maybe_unused]] const int result = epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  assert(result == 0);
}

void EventLoop::Unwatch(int fd, Watcher* watcher) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = ready_begin_; i < ready_end_; ++i) {
    if (ready_[i].data.ptr == watcher) ready_[i].data.ptr = nullptr;
  }
}

EventLoop::TimerId EventLoop::AddTimer(Clock::time_point when, std::function<void()> task) {
  const TimerId id{when, ++last_timer_};
  timers_.emplace(id, std::move(task));
  return id;
}

void EventLoop::CancelTimer(TimerId id) {
  if (id) timers_.erase(id);
}

void EventLoop::RunTimers() {
  if (timers_.empty()) return;
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.when <= now) {
    const auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
}

void EventLoop::Defer(Deferred* work) {
  if (std::exchange(work->queued_, true)) return;
  deferred_.push_back(work);
}

void EventLoop::Undefer(Deferred* work) {
  if (!work->queued_) return;
  std::replace(deferred_.begin(), deferred_.end(), work, static_cast<Deferred*>(nullptr));
  std::replace(running_deferred_.begin(), running_deferred_.end(), work,
               static_cast<Deferred*>(nullptr));
}

void EventLoop::RunDeferred() {
  // What is deferred from here on waits for the next turn, which comes at once.
  running_deferred_.swap(deferred_);
  for (size_t i = 0; i < running_deferred_.size(); ++i) {
    Deferred* work = running_deferred_[i];
    if (work == nullptr) continue;
    work->queued_ = false;
    work->OnTurnEnd();
  }
  running_deferred_.clear();
}

}  // namespace fastserve
