#include "serving/completion_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace fastserve {
namespace {

int OpenEventFd() {
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    std::perror("fastserve: eventfd");
    std::abort();
  }
  return fd;
}

}  // namespace

CompletionQueue::CompletionQueue() : fd_(OpenEventFd()) {}

CompletionQueue::~CompletionQueue() { ::close(fd_); }

void CompletionQueue::Push(Completion completion) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = completions_.empty();
    completions_.push_back(std::move(completion));
  }
  if (first) ::eventfd_write(fd_, 1);
}

std::vector<CompletionQueue::Completion> CompletionQueue::TakeAll() {
  // The eventfd is reset first: a Push() that comes between then wakes the loop once more.
  eventfd_t ignored;
  ::eventfd_read(fd_, &ignored);
  std::vector<Completion> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(completions_);
  return taken;
}

}  // namespace fastserve
