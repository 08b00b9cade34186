#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "load/answer_check.h"
#include "load/tally.h"

namespace fastserve::bench {

// What every client of a run sends. Immutable; outlives the clients.
struct LoadRequest {
  std::string authority;  // host:port
  std::string path;
  // gRPC: one message with its prefix. REST: the whole HTTP/1.1 request.
  std::string wire;
};

// A thread's surroundings, shared by its clients. The tally and the check are the thread's own.
struct LoadContext {
  const LoadRequest& request;
  const std::atomic<Phase>& phase;
  AnswerCheck& check;
  Tally& tally;
};

// One connection in a closed loop: each answer is judged, tallied and followed by the next request
// until the run drains. Threads: one.
class LoadClient {
 public:
  virtual ~LoadClient() = default;

  virtual int fd() const = 0;
  // Sends the first requests.
  virtual bool Start() = 0;
  // Serves the socket, edge-triggered. False when the connection is gone; then whatever is
  // unanswered is tallied as lost.
  virtual bool OnReady(uint32_t epoll_events, std::span<char> scratch) = 0;
  // Requests without an answer.
  virtual size_t in_flight() const = 0;
};

// A gRPC client with `streams` calls at a time. Takes over `fd`.
std::unique_ptr<LoadClient> MakeGrpcClient(int fd, const LoadContext& context, size_t streams);
// A client of HTTP/1.1 with keep-alive, one request at a time. Takes over `fd`.
std::unique_ptr<LoadClient> MakeRestClient(int fd, const LoadContext& context);

// The wire form of LoadRequest.
std::string FrameGrpcMessage(const std::string& message);
std::string FrameRestRequest(const std::string& authority, const std::string& path,
                             const std::string& body);

}  // namespace fastserve::bench
