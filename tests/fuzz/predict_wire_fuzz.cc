// PredictRequest bytes: whatever they are, no crash; what parses decodes to tensors that hold just
// what their dims promise, that can be written in both encodings, and that read back the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "codec/predict_wire.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

// Tensors beyond this are not decoded: filling them takes the time of thousands of inputs.
constexpr int64_t kMaxElements = 1 << 16;

void Require(bool holds) {
  if (!holds) std::abort();
}

bool HasElements(const HostTensor& tensor) {
  return tensor.dtype != DataType::kResource && tensor.dtype != DataType::kVariant;
}

void CheckTensor(const HostTensor& tensor) {
  const int64_t count = ElementCount(tensor.dims);
  Require(count >= 0);
  if (!HasElements(tensor)) {
    Require(tensor.data.empty() && tensor.strings.empty());
  } else if (tensor.dtype == DataType::kString) {
    Require(tensor.strings.size() == static_cast<size_t>(count));
  } else {
    Require(tensor.data.size() == static_cast<size_t>(count) * ElementSize(tensor.dtype));
  }
}

// An upper bound of the elements that a TensorProto promises; -1 when that has no meaning.
int64_t PromisedElements(ByteView proto) {
  Dims dims;
  WireReader in(proto);
  while (in.Next()) {
    if (in.tag() != BytesTag(tensor_proto::kShape)) {
      in.Skip();
      continue;
    }
    for (WireReader shape = in.Message(); shape.Next();) {
      if (shape.tag() != BytesTag(tensor_proto::kDim)) {
        shape.Skip();
        continue;
      }
      int64_t size = 0;
      for (WireReader dim = shape.Message(); dim.Next();) {
        if (dim.tag() == VarintTag(tensor_proto::kDimSize)) {
          size = static_cast<int64_t>(dim.Varint());
        } else {
          dim.Skip();
        }
      }
      dims.push_back(size);
    }
  }
  return ElementCount(dims);
}

// The bits of a type narrower than a byte that no varint carries may differ.
bool SameElements(const HostTensor& a, const HostTensor& b, TensorEncoding encoding) {
  const bool is_narrow = a.dtype >= DataType::kInt4 && a.dtype <= DataType::kUint2;
  if (is_narrow && encoding == TensorEncoding::kTypedFields) return a.data.size() == b.data.size();
  return a.data == b.data && a.strings == b.strings;
}

void WriteAndReadBack(const HostTensor& tensor, TensorEncoding encoding) {
  ByteChain chain;
  PredictResponseWriter writer(chain, encoding);
  const auto owner = std::make_shared<const ByteBuffer>(tensor.owner);
  const Status written = writer.AddOutput("out", tensor, owner);
  Require(written.ok() == HasElements(tensor));
  if (!written.ok()) return;
  writer.AddModelSpec("model", 1, "signature");
  const std::string bytes = chain.Flatten();
  Require(bytes.size() == chain.size());
  WireReader in(bytes);
  Require(in.Next() && in.tag() == BytesTag(1));
  WireReader entry_reader = in.Message();
  const MapEntry entry = ReadMapEntry(entry_reader);
  Require(entry_reader.ok() && entry.key == "out" && entry.pieces.size() == 1);
  const Result<HostTensor> again = DecodeTensorProto(entry.pieces[0], ByteBuffer());
  Require(again.ok() && again->dtype == tensor.dtype && again->dims == tensor.dims);
  Require(SameElements(tensor, *again, encoding));
  Require(in.Next() && in.tag() == BytesTag(2));
  in.Skip();
  Require(!in.Next() && in.ok());
}

void Decode(ByteView proto, const ByteBuffer& owner) {
  if (PromisedElements(proto) > kMaxElements) return;
  const Result<HostTensor> tensor = DecodeTensorProto(proto, owner);
  if (!tensor.ok()) return;
  CheckTensor(*tensor);
  WriteAndReadBack(*tensor, TensorEncoding::kTypedFields);
  WriteAndReadBack(*tensor, TensorEncoding::kTensorContent);
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace fastserve;
  // A buffer of its own, so that a read beyond the end is seen.
  const ByteBuffer message = ByteBuffer::Copy({reinterpret_cast<const char*>(bytes), size});
  for (size_t head = 0; head <= size && head < 64; ++head) {
    Require(PayloadOffset(message.view().substr(0, head), size) <= size);
  }
  Require(PayloadOffset(message.view(), size) <= size);
  Decode(message.view(), message);  // as a TensorProto alone
  const Result<PredictRequestView> request = ParsePredictRequest(message.view());
  if (!request.ok()) return 0;
  Require(!(request->model_spec.version && request->model_spec.version_label));
  for (const auto& [alias, proto] : request->inputs) Decode(proto, message);
  return 0;
}
