#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"

namespace fastserve {

// Answers that worker threads leave for an event loop in another language: the loop watches fd(),
// an eventfd, and takes what has gathered. Neither side waits for the other. Any thread.
class CompletionQueue {
 public:
  struct Completion {
    int64_t token;
    StatusCode code;
    std::string body;
  };

  // Ends the process's start with a message when no eventfd is to be had.
  CompletionQueue();
  ~CompletionQueue();
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  int fd() const { return fd_; }
  void Push(Completion completion);
  // Everything that has gathered, oldest first; fd() is no longer readable.
  std::vector<Completion> TakeAll();

 private:
  const int fd_;
  std::mutex mutex_;
  std::vector<Completion> completions_;
};

}  // namespace fastserve
