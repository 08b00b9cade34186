#include "batching/batching_options.h"

#include <algorithm>
#include <string>
#include <utility>

namespace fastserve {

Status BatchingOptions::Validate() const {
  const auto is = [](const char* what, int64_t value) {
    return Status::InvalidArgument(std::string(what) + std::to_string(value));
  };
  if (!allowed_batch_sizes.empty() && allowed_batch_sizes.back() != max_batch_size) {
    return Status::InvalidArgument(
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was " +
        std::to_string(allowed_batch_sizes.back()) + "; expected " +
        std::to_string(max_batch_size));
  }
  if (!std::is_sorted(allowed_batch_sizes.begin(), allowed_batch_sizes.end()) ||
      (!allowed_batch_sizes.empty() && allowed_batch_sizes.front() < 1)) {
    return Status::InvalidArgument("allowed_batch_sizes must be positive and in increasing order");
  }
  if (max_batch_size < 1)
    return is("input_batch_size_limit must be positive; was ", max_batch_size);
  if (batch_timeout.count() < 0) {
    return is("batch_timeout_micros must be non-negative; was ", batch_timeout.count());
  }
  if (max_enqueued_batches < (enable_large_batch_splitting ? 1 : 0)) {
    return is("max_enqueued_batches must be positive; was ", max_enqueued_batches);
  }
  if (max_execution_batch_size < 0) {
    return is("max_execution_batch_size must be positive; was ", max_execution_batch_size);
  }
  if (enable_large_batch_splitting && max_batch_size < max_execution_batch_size) {
    return Status::InvalidArgument(
        "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or "
        "equal to max_execution_batch_size. input_batch_size_limit: " +
        std::to_string(max_batch_size) +
        ", max_execution_batch_size: " + std::to_string(max_execution_batch_size));
  }
  return {};
}

Status BatchingOptions::CheckTaskSize(int64_t rows) const {
  if (rows <= max_batch_size) return {};
  return Status::InvalidArgument("Task size " + std::to_string(rows) +
                                 " is larger than maximum input batch size " +
                                 std::to_string(max_batch_size));
}

int64_t BatchingOptions::execution_size() const {
  const bool own = enable_large_batch_splitting && max_execution_batch_size > 0;
  return own ? max_execution_batch_size : max_batch_size;
}

int64_t BatchingOptions::PaddedSize(int64_t rows) const {
  const auto fitting =
      std::lower_bound(allowed_batch_sizes.begin(), allowed_batch_sizes.end(), rows);
  return fitting == allowed_batch_sizes.end() ? rows : *fitting;
}

Status BatchPolicy::Validate(const Options& options) {
  if (!options.contains("")) {
    return Status::InvalidArgument("there are no options for signatures without their own");
  }
  for (const auto& [signature, own] : options) {
    const Status status = own.Validate();
    if (status.ok()) continue;
    if (signature.empty()) return status;
    return {status.code(), "signature " + signature + ": " + status.message()};
  }
  return {};
}

BatchPolicy::BatchPolicy(Options options)
    : options_(std::make_shared<const Options>(std::move(options))) {}

std::shared_ptr<const BatchPolicy::Options::value_type> BatchPolicy::Get(
    std::string_view signature) const {
  std::shared_ptr<const Options> options = options_.load();
  auto found = options->find(signature);
  if (found == options->end()) found = options->find("");
  return {std::move(options), &*found};
}

Status BatchPolicy::Set(Options options) {
  FASTSERVE_RETURN_IF_ERROR(Validate(options));
  options_.store(std::make_shared<const Options>(std::move(options)));
  return {};
}

}  // namespace fastserve
