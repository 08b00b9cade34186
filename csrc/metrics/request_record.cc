#include "metrics/request_record.h"

#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

void RequestRecord::Start(Protocol protocol, std::string_view peer) {
  started_ = true;
  outcome_.protocol = protocol;
  peer_ = peer;
  Metrics::Instance().CountInFlight(protocol, 1);
}

void RequestRecord::Received(size_t bytes) {
  received_ = true;
  outcome_.bytes_in = bytes;
  arrival_ = Clock::now();
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
  if (metrics.access_log().on()) Log();
  signature_.reset();
}

void RequestRecord::TraceContext(std::string_view traceparent) {
  if (Metrics::Instance().access_log().on()) traceparent_ = traceparent;
}

void RequestRecord::Log() const {
  AccessEntry entry{.ended = std::chrono::system_clock::now(),
                    .outcome = outcome_,
                    .model = std::string(model_),
                    .version = {},
                    .signature = {},
                    .peer = std::string(peer_),
                    .traceparent = traceparent_};
  if (signature_) {
    entry.model = signature_->model();
    entry.version = signature_->version();
    entry.signature = signature_->signature();
  }
  Metrics::Instance().access_log().Push(std::move(entry));
}

}  // namespace fastserve
