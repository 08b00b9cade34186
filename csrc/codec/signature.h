#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"

namespace fastserve {

// One input or output of a signature (tensorflow.TensorInfo with a plain tensor name).
struct TensorInfo {
  std::string alias;        // the name that clients use
  std::string tensor_name;  // "op:index" in the graph
  DataType dtype = DataType::kInvalid;
  bool unknown_rank = false;
  Dims dims;  // -1 where unknown; empty when unknown_rank
};

// tensorflow.SignatureDef, as the request path needs it. Immutable once parsed.
struct Signature {
  std::string name;
  std::string method_name;
  std::vector<TensorInfo> inputs;   // sorted by alias
  std::vector<TensorInfo> outputs;  // sorted by alias
  // alias -> serialized TensorProto, from SignatureDef.defaults
  std::map<std::string, std::string, std::less<>> defaults;

  // Null when there is none of that alias.
  const TensorInfo* FindInput(std::string_view alias) const;
  const TensorInfo* FindOutput(std::string_view alias) const;
};

using SignatureMap = std::map<std::string, Signature, std::less<>>;

// The signatures of a serialized tensorflow.MetaGraphDef.
struct MetaGraphSignatures {
  SignatureMap signatures;
  std::string signature_def_map;  // the same as a serialized tensorflow.serving.SignatureDefMap
};

// Reads only the signature_def field (5); the graph is skipped, not decoded. Inputs and outputs
// without a plain name (sparse, composite) are kept with an empty tensor_name. Answers kDataLoss
// when the bytes do not parse.
Result<MetaGraphSignatures> ParseMetaGraphSignatures(ByteView meta_graph_def);

}  // namespace fastserve
