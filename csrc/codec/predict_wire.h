#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_pool.h"
#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/status.h"
#include "base/tensor.h"
#include "codec/model_spec.h"
#include "codec/tensor_wire.h"

namespace fastserve {

// tensorflow.serving.PredictRequest; the views borrow from the request.
struct PredictRequestView {
  bool has_model_spec = false;
  ModelSpecView model_spec;
  // alias -> serialized TensorProto, sorted by alias. One entry an alias, the last on the wire
  // counts. The values are valid wire format.
  PooledVector<std::pair<std::string_view, ByteView>> inputs;
  PooledVector<std::string_view> output_filter;
  // Holds those values that were in several pieces on the wire, which no client writes.
  std::vector<ByteBuffer> joined;
};

// Reads a PredictRequest. Answers kInternal with an empty message, as a gRPC server does for bytes
// that do not parse (bad wire format anywhere in known messages, strings that are not UTF-8).
// Unknown fields and known fields of another wire type are skipped as protobuf does.
Result<PredictRequestView> ParsePredictRequest(ByteView message);

// Where the payload (tensor_content or a packed *_val that is used in place) of a PredictRequest
// starts: the first of at least 4096 bytes, or else the largest; 0 when there is none. Judged by
// the first bytes of the message (`head`, any length, maybe cut anywhere) and its full size. A
// hint, at most message_size: the answer for bytes that do not parse is arbitrary.
size_t PayloadOffset(ByteView head, size_t message_size);

// Writes a PredictResponse piece by piece into a chain: outputs first, then the model spec.
class PredictResponseWriter {
 public:
  explicit PredictResponseWriter(ByteChain& out, TensorEncoding encoding)
      : out_(out), encoding_(encoding) {}

  // Tensor bytes of at least ByteChain::kBorrowThreshold that need no re-coding are borrowed with
  // `owner`, which must keep `tensor`'s views alive. Answers kInternal for a dtype that cannot be
  // written.
  Status AddOutput(std::string_view alias, const HostTensor& tensor,
                   const std::shared_ptr<const void>& owner);
  void AddModelSpec(std::string_view name, int64_t version, std::string_view signature_name);

 private:
  ByteChain& out_;
  TensorEncoding encoding_;
};

}  // namespace fastserve
