#include "metrics/replica_metrics.h"

#include "metrics/metrics.h"

namespace fastserve {

ReplicaMetrics::ReplicaMetrics(std::string model, int64_t version, std::function<Runs()> read)
    : model_(std::move(model)), version_(std::to_string(version)), read_(std::move(read)) {
  Metrics::Instance().Add(*this);
}

ReplicaMetrics::~ReplicaMetrics() { Metrics::Instance().Retire(*this); }

}  // namespace fastserve
