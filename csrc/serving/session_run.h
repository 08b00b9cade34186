#pragma once

#include <memory>

#include "base/block_pool.h"
#include "base/status.h"
#include "base/tensor.h"
#include "session/session.h"

namespace fastserve {

// One request's session run: tensors for places of the graph, and the places that it wants. The
// tensors borrow from the request, its servable or their own `owner`.
struct RunRequest {
  InlineVector<TF_Output, 8> feeds;
  PooledVector<HostTensor> inputs;  // by index of feeds
  InlineVector<TF_Output, 8> fetches;
};

// What a run gave, by index of the request's fetches; `owner` holds the memory behind the views.
struct RunOutputs {
  PooledVector<HostTensor> tensors;
  std::shared_ptr<const void> owner;
};

// Runs a request on the calling thread.
Result<RunOutputs> RunNow(const Session& session, const RunRequest& request);

}  // namespace fastserve
