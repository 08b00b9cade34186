#include "metrics/request_record.h"

#include <utility>

#include "base/block_pool.h"
#include "metrics/metrics.h"

namespace fastserve {

void RequestRecord::Start(Protocol protocol, std::string_view peer) {
  started_ = true;
  outcome_.protocol = protocol;
  peer_ = peer;
  Metrics& metrics = Metrics::Instance();
  metrics.CountInFlight(protocol, 1);
  if (protocol == Protocol::kGrpc && metrics.traces().Choose()) Trace();
}

RequestRecord::Clock::time_point RequestRecord::Received(size_t bytes) {
  received_ = true;
  outcome_.bytes_in = bytes;
  arrival_ = Clock::now();
  if (trace_) trace_->End(Stage::kReceive);
  return arrival_;
}

void RequestRecord::End(StatusCode code, size_t answer_bytes) {
  if (!std::exchange(started_, false)) return;
  Metrics& metrics = Metrics::Instance();
  metrics.CountInFlight(outcome_.protocol, -1);
  // A model's own code may be any number.
  const bool known = static_cast<size_t>(code) < kStatusCodes;
  outcome_.code = known ? code : StatusCode::kUnknown;
  if (received_) outcome_.latency = Clock::now() - arrival_;
  outcome_.bytes_out = answer_bytes;
  if (signature_) {
    signature_->RecordRequest(outcome_);
  } else {
    metrics.RecordUnrouted(model_, outcome_);
  }
  if (trace_ || metrics.access_log().on()) Report();
  signature_.reset();
}

void RequestRecord::TraceContext(std::string_view traceparent) {
  Metrics& metrics = Metrics::Instance();
  if (metrics.traces().on()) {
    const std::optional<bool> traced = TracedByParent(traceparent);
    if (traced && *traced) Trace();
    if (traced && !*traced) trace_.reset();
  }
  if (trace_ || metrics.access_log().on()) traceparent_ = traceparent;
}

void RequestRecord::Trace() {
  if (trace_) return;
  trace_ = MakePooled<RequestTrace>();
  trace_->Begin(Stage::kRequest);
  trace_->Begin(Stage::kReceive);
}

void RequestRecord::Report() {
  EndedRequest ended{.ended = std::chrono::system_clock::now(),
                     .outcome = outcome_,
                     .model = std::string(model_),
                     .version = {},
                     .signature = {},
                     .peer = std::string(peer_),
                     .traceparent = traceparent_};
  if (signature_) {
    ended.model = signature_->model();
    ended.version = signature_->version();
    ended.signature = signature_->signature();
  }
  Metrics& metrics = Metrics::Instance();
  const bool is_ours = outcome_.protocol == Protocol::kGrpc;
  if (trace_) {
    trace_->End(Stage::kRequest);
    trace_->ended = ended;
    if (is_ours) metrics.traces().Push(trace_);
  }
  if (is_ours && metrics.access_log().on()) metrics.access_log().Push(std::move(ended));
}

}  // namespace fastserve
