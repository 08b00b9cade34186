#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "metrics/request_trace.h"
#include "serving/rest_body.h"

namespace fastserve {

// The outcome of a REST request: {"error": ...} unless kOk.
struct RestAnswer {
  StatusCode code = StatusCode::kOk;
  std::string body;
  RestFormat format = RestFormat::kJson;                // of the body
  std::string hint;                                     // see serving/hint.h; often empty
  std::shared_ptr<const RequestTrace> trace = nullptr;  // where it was asked for
};

// Answers that worker threads leave for an event loop in another language: the loop watches fd(),
// an eventfd, and takes what has gathered. Neither side waits for the other. Any thread.
class CompletionQueue {
 public:
  struct Completion {
    int64_t token;
    RestAnswer answer;
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
