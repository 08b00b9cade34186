// REST predict bodies against signatures of every dtype: whatever the bytes, no crash, and tensors
// that hold exactly what their dims promise and can be written as JSON again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/predict_json.h"

namespace fastserve {
namespace {

Signature MakeSignature(std::vector<std::pair<const char*, DataType>> inputs) {
  Signature signature;
  for (const auto& [alias, dtype] : inputs) {
    signature.inputs.push_back({.alias = alias, .tensor_name = "t:0", .dtype = dtype});
  }
  return signature;
}

std::vector<Signature> MakeSignatures() {
  std::vector<Signature> signatures;
  for (int dtype = 0; dtype <= static_cast<int>(DataType::kFloat4E2m1fn) + 1; ++dtype) {
    signatures.push_back(MakeSignature({{"x", static_cast<DataType>(dtype)}}));
  }
  signatures.push_back(MakeSignature({}));
  signatures.push_back(MakeSignature({{"b64", DataType::kString}}));
  signatures.push_back(MakeSignature({{"s", DataType::kString}, {"x", DataType::kString}}));
  signatures.push_back(
      MakeSignature({{"a", DataType::kFloat}, {"b", DataType::kInt64}, {"s", DataType::kString}}));
  return signatures;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckTensor(const HostTensor& tensor) {
  const int64_t count = ElementCount(tensor.dims);
  Require(count >= 0);
  if (tensor.dtype == DataType::kString) {
    Require(tensor.strings.size() == static_cast<size_t>(count));
  } else {
    Require(tensor.data.size() == static_cast<size_t>(count) * ElementSize(tensor.dtype));
    Require(reinterpret_cast<uintptr_t>(tensor.data.data()) % kTensorAlignment == 0);
  }
}

void ReadAndWrite(ByteView body, const Signature& signature) {
  const Result<PredictJson> request =
      ParsePredictJson(body, [&](std::string_view) { return &signature; });
  if (!request.ok()) return;
  if (!request->inputs.ok()) {
    Require(!WriteErrorJson(request->inputs.status().message()).empty());
    return;
  }
  std::vector<std::pair<std::string_view, HostTensor>> outputs;
  for (const auto& [alias, tensor] : request->inputs->inputs) {
    CheckTensor(tensor);
    const std::string_view name = alias == "s" ? std::string_view("s_bytes") : alias;
    outputs.emplace_back(name, tensor);
  }
  const Result<std::string> written = WritePredictJson(request->inputs->format, outputs);
  const Result<std::string> other = WritePredictJson(JsonFormat::kColumn, outputs);
  // What was read has a JSON form, or no elements; rows of one request have one first extent.
  Require(written.ok() && other.ok());
  const FindSignature none = [](std::string_view) { return nullptr; };
  Require(ParsePredictJson(*written, none).ok() && ParsePredictJson(*other, none).ok());
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::vector<fastserve::Signature> kSignatures = fastserve::MakeSignatures();
  const fastserve::ByteView body(reinterpret_cast<const char*>(bytes), size);
  for (const fastserve::Signature& signature : kSignatures) {
    fastserve::ReadAndWrite(body, signature);
  }
  return 0;
}
