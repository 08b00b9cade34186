#include "serving/session_run.h"

#include <utility>

namespace fastserve {

Result<RunOutputs> RunNow(const Session& session, const RunRequest& request) {
  PooledVector<RuntimeTensor> fed;
  InlineVector<TF_Tensor*, 8> values;
  fed.reserve(request.inputs.size());
  for (const HostTensor& input : request.inputs) {
    Result<RuntimeTensor> tensor = RuntimeTensor::FromHost(session.api(), input);
    if (!tensor.ok()) return tensor.status();
    values.push_back(tensor->get());
    fed.push_back(std::move(*tensor));
  }
  Result<PooledVector<RuntimeTensor>> ran = session.Run(request.feeds, values, request.fetches);
  if (!ran.ok()) return ran.status();
  auto owner = MakePooled<const PooledVector<RuntimeTensor>>(std::move(*ran));
  RunOutputs outputs;
  outputs.tensors.reserve(owner->size());
  for (const RuntimeTensor& tensor : *owner) outputs.tensors.push_back(tensor.View());
  outputs.owner = std::move(owner);
  return outputs;
}

}  // namespace fastserve
