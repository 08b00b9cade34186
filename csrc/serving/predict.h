#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"
#include "serving/servable.h"

namespace fastserve {

// What a Predict asks of a signature: tensors by alias, and which outputs it wants (empty = all).
template <class Value>
using NamedInputs = std::span<const std::pair<std::string_view, Value>>;

// One output of a run: its alias (borrowed from the signature) and its elements (borrowed from the
// run's tensors, which PredictOutputs owns).
struct NamedOutput {
  std::string_view alias;
  HostTensor tensor;
};

// The outputs of a run and the memory behind them.
struct PredictOutputs {
  std::vector<NamedOutput> named;
  std::shared_ptr<const std::vector<RuntimeTensor>> tensors;
};

// Feeds `inputs` to `bound` and runs it on the calling thread, by the rules and with the texts of
// upstream's servables/tensorflow/{predict_util,predict_impl}.cc: inputs matched by alias, defaults
// filled in, output_filter applied. The serialized form decodes each TensorProto, which `owner`
// holds.
Result<PredictOutputs> RunSerialized(const Servable& servable, const BoundSignature& bound,
                                     NamedInputs<ByteView> inputs, const ByteBuffer& owner,
                                     std::span<const std::string_view> output_filter);
// The same for tensors that are decoded already; every input is there and all outputs are wanted.
Result<PredictOutputs> RunTensors(const Servable& servable, const BoundSignature& bound,
                                  NamedInputs<const HostTensor*> inputs);

}  // namespace fastserve
