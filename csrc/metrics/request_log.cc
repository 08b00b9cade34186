#include "metrics/request_log.h"

#include <utility>

#include "metrics/sampling.h"

namespace fastserve {

void RequestLog::SetRates(Rates rates) {
  const bool on = !rates.empty();
  rates_.store(std::make_shared<const Rates>(std::move(rates)));
  on_.store(on, std::memory_order_relaxed);
}

void RequestLog::Sample(const SignatureMetrics& signature, ApiMethod method, ByteView request,
                        const ByteChain& answer) {
  const std::shared_ptr<const Rates> rates = rates_.load();
  const auto rate = rates->find(signature.model());
  if (rate == rates->end() || !IsSampled(rate->second)) return;
  const size_t size = request.size() + answer.size();
  {
    const std::lock_guard lock(mutex_);
    if (size > kMaxBytes - bytes_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    bytes_ += size;  // the copies are made without the lock
  }
  LoggedRequest logged{.answered = std::chrono::system_clock::now(),
                       .model = signature.model(),
                       .version = signature.version(),
                       .signature = signature.signature(),
                       .method = method,
                       .request = std::string(request),
                       .answer = answer.Flatten()};
  const std::lock_guard lock(mutex_);
  kept_.push_back(std::move(logged));
}

std::vector<LoggedRequest> RequestLog::Take() {
  const std::lock_guard lock(mutex_);
  for (const LoggedRequest& logged : kept_) bytes_ -= logged.request.size() + logged.answer.size();
  return std::exchange(kept_, {});
}

}  // namespace fastserve
