#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "load/answer_check.h"
#include "load/arrivals.h"
#include "load/tally.h"

namespace fastserve::bench {

// What every client of a run sends. Immutable; outlives the clients.
struct LoadRequest {
  std::string authority;  // host:port
  std::string path;
  // gRPC: one message with its prefix. REST: the whole HTTP/1.1 request.
  std::string wire;
};

// A thread's surroundings, shared by its clients. All but the request and the phase are the
// thread's own.
struct LoadContext {
  const LoadRequest& request;
  const std::atomic<Phase>& phase;
  Arrivals& arrivals;
  AnswerCheck& check;
  Tally& tally;
};

// One connection with a fixed number of calls. Each answer is judged, tallied and followed by the
// next request that is due. Threads: one.
class LoadClient {
 public:
  virtual ~LoadClient() = default;

  virtual int fd() const = 0;
  // Whether a call is free for Begin().
  virtual bool idle() const = 0;
  // Makes a request ready to be sent by Flush(). False when the connection is of no use any more.
  virtual bool Begin(const Arrival& arrival) = 0;
  // Sends what is ready. False when the connection is gone.
  virtual bool Flush() = 0;
  // Serves the socket, edge-triggered. False when the connection is gone; then whatever is
  // unanswered is tallied as lost.
  virtual bool OnReady(uint32_t epoll_events, std::span<char> scratch) = 0;
  // Requests without an answer.
  virtual size_t in_flight() const = 0;
};

// A gRPC client with up to `streams` calls at a time. Takes over `fd`.
std::unique_ptr<LoadClient> MakeGrpcClient(int fd, const LoadContext& context, size_t streams);
// A client of HTTP/1.1 with keep-alive, one request at a time. Takes over `fd`.
std::unique_ptr<LoadClient> MakeRestClient(int fd, const LoadContext& context);

// The wire form of LoadRequest.
std::string FrameGrpcMessage(const std::string& message);
std::string FrameRestRequest(const std::string& authority, const std::string& path,
                             const std::string& body);

}  // namespace fastserve::bench
