#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastserve {

// How requests of one kind are put into batches; the fields of BatchingParameters
// (servables/tensorflow/session_bundle_config.proto), with its defaults. Sizes are rows.
struct BatchingOptions {
  // The largest request; without splitting also the largest batch.
  int64_t max_batch_size = 1000;
  // A batch that is not full may be run so long after its first request; 0 = whenever a thread is
  // free.
  std::chrono::microseconds batch_timeout{0};
  // Batches that may wait in a queue, those that are run not counted. Without splitting 0 means 1.
  int64_t max_enqueued_batches = 10;
  // A batch is padded to the first of these that it fits; ascending, the last is max_batch_size.
  std::vector<int64_t> allowed_batch_sizes;
  // Inputs of different inner shapes share batches, each padded to the largest.
  bool pad_variable_length_inputs = false;
  // A request may be cut over several batches.
  bool enable_large_batch_splitting = false;
  // With splitting, the largest batch that is run; 0 = max_batch_size.
  int64_t max_execution_batch_size = 0;

  // kInvalidArgument with upstream's texts (bundle_factory_util.cc, shared_batch_scheduler.h).
  Status Validate() const;
  // kInvalidArgument for a request that is larger than any may be.
  Status CheckTaskSize(int64_t rows) const;
  // The largest batch that is run.
  int64_t execution_size() const;
  // The size that a batch of so many rows is run with; `rows` itself where no allowed size fits.
  int64_t PaddedSize(int64_t rows) const;
};

// Options that may be changed while requests are batched by them. Any thread.
class BatchPolicy {
 public:
  // By the signature that they are for; those under "" are for all others.
  using Options = std::map<std::string, BatchingOptions, std::less<>>;

  // As BatchingOptions::Validate(), with the signature in front of its text; also kInvalidArgument
  // where there are none under "".
  static Status Validate(const Options& options);

  // REQUIRES: Validate(options).ok()
  explicit BatchPolicy(Options options);

  // What holds for a signature's requests that come from now on, and the name that it stands under;
  // the same object until the next Set().
  std::shared_ptr<const Options::value_type> Get(std::string_view signature) const;
  // As Validate(); on failure nothing changes.
  Status Set(Options options);

 private:
  std::atomic<std::shared_ptr<const Options>> options_;
};

}  // namespace fastserve
