// MetaGraphDef bytes: whatever they are, no crash; the signatures that parse can be found by their
// aliases, and the SignatureDefMap made of them holds the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "codec/signature.h"
#include "codec/wire_format.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool SameInfo(const TensorInfo& a, const TensorInfo& b) {
  return a.alias == b.alias && a.tensor_name == b.tensor_name && a.dtype == b.dtype &&
         a.unknown_rank == b.unknown_rank && a.dims == b.dims;
}

void CheckSame(const std::vector<TensorInfo>& a, const std::vector<TensorInfo>& b) {
  Require(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) Require(SameInfo(a[i], b[i]));
}

void CheckSignature(const Signature& signature) {
  for (const TensorInfo& info : signature.inputs) {
    Require(signature.FindInput(info.alias) == &info);
    Require(!info.unknown_rank || info.dims.empty());
  }
  for (const TensorInfo& info : signature.outputs) {
    Require(signature.FindOutput(info.alias) == &info);
  }
}

// A MetaGraphDef with the entries of a SignatureDefMap.
std::string ToMetaGraphDef(ByteView signature_def_map) {
  std::string meta_graph;
  WireReader in(signature_def_map);
  while (in.Next()) {
    Require(in.tag() == BytesTag(1));
    const ByteView entry = in.Bytes();
    WriteBytesField(Extend(&meta_graph, BytesFieldSize(5, entry.size())), 5, entry);
  }
  Require(in.ok());
  return meta_graph;
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace fastserve;
  const ByteBuffer meta_graph = ByteBuffer::Copy({reinterpret_cast<const char*>(bytes), size});
  const Result<MetaGraphSignatures> parsed = ParseMetaGraphSignatures(meta_graph.view());
  if (!parsed.ok()) return 0;
  const std::string again_bytes = ToMetaGraphDef(parsed->signature_def_map);
  const Result<MetaGraphSignatures> again = ParseMetaGraphSignatures(again_bytes);
  Require(again.ok() && again->signature_def_map == parsed->signature_def_map);
  Require(again->signatures.size() == parsed->signatures.size());
  for (const auto& [name, signature] : parsed->signatures) {
    CheckSignature(signature);
    const Signature& same = again->signatures.at(name);
    Require(same.name == name && same.method_name == signature.method_name);
    CheckSame(signature.inputs, same.inputs);
    CheckSame(signature.outputs, same.outputs);
    Require(same.defaults == signature.defaults);
  }
  return 0;
}
