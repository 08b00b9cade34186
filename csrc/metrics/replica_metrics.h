#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace fastserve {

// What is counted of the replicas of one loaded version that has several.
// Threads: any. Known to Metrics as long as it lives.
class ReplicaMetrics {
 public:
  // Runs that were begun, by device.
  using Runs = std::vector<std::pair<std::string, uint64_t>>;

  // `read` gives them at any time, on any thread, without waiting.
  ReplicaMetrics(std::string model, int64_t version, std::function<Runs()> read);
  ~ReplicaMetrics();
  ReplicaMetrics(const ReplicaMetrics&) = delete;
  ReplicaMetrics& operator=(const ReplicaMetrics&) = delete;

  const std::string& model() const { return model_; }
  const std::string& version() const { return version_; }
  Runs runs() const { return read_(); }

 private:
  const std::string model_;
  const std::string version_;
  const std::function<Runs()> read_;
};

}  // namespace fastserve
