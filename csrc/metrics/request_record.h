#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "metrics/request_trace.h"
#include "metrics/signature_metrics.h"

namespace fastserve {

// What is noted of one request from its coming to its answer, and then counted and logged.
// Threads: one at a time. Without Start() it does nothing.
class RequestRecord {
 public:
  using Clock = std::chrono::steady_clock;

  RequestRecord() = default;
  ~RequestRecord() { End(StatusCode::kCancelled, 0); }
  RequestRecord(const RequestRecord&) = delete;
  RequestRecord& operator=(const RequestRecord&) = delete;

  // The request begins to come. `peer` outlives the record. Over gRPC it may be chosen to be
  // traced.
  void Start(Protocol protocol, std::string_view peer);
  // Its last byte has come, now: latency counts from here, and is 0 for what ends before.
  Clock::time_point Received(size_t bytes);
  // It has been understood. `model` is looked at up to Route() or End(), whichever comes first.
  void Ask(ApiMethod method, std::string_view model) {
    outcome_.method = method;
    model_ = model;
  }
  // It will be answered by this signature.
  void Route(SignatureMetricsPtr signature) {
    signature_ = std::move(signature);
    model_ = {};
  }
  // It has been answered. Later calls do nothing. Over gRPC it is logged, and its trace goes on its
  // way; over REST that is the gateway's.
  void End(StatusCode code, size_t answer_bytes);

  // The request's traceparent header (W3C Trace Context): who sent it decides whether it is traced.
  void TraceContext(std::string_view traceparent);
  // It is traced from now on.
  void Trace();
  // Null where it is not traced. Lives as long as the record.
  const std::shared_ptr<RequestTrace>& trace() const { return trace_; }

 private:
  void Report();

  bool started_ = false;
  RequestOutcome outcome_;
  bool received_ = false;
  Clock::time_point arrival_;
  std::string_view model_;
  SignatureMetricsPtr signature_;
  std::string_view peer_;
  std::string traceparent_;
  std::shared_ptr<RequestTrace> trace_;
};

}  // namespace fastserve
