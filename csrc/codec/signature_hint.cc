#include "codec/signature_hint.h"

namespace fastserve {
namespace {

std::string Expected(const TensorInfo& info) {
  return info.alias + ": " + DataTypeName(info.dtype) +
         (info.unknown_rank ? " of any shape" : " " + DimsText(info.dims));
}

bool Fits(const HostTensor& tensor, const TensorInfo& info) {
  if (tensor.dtype != info.dtype) return false;
  if (info.unknown_rank) return true;
  if (tensor.dims.size() != info.dims.size()) return false;
  for (size_t i = 0; i < info.dims.size(); ++i) {
    if (info.dims[i] >= 0 && info.dims[i] != tensor.dims[i]) return false;
  }
  return true;
}

std::string Hint(const Signature& signature, const std::string& expectations) {
  std::string hint = "signature " + signature.name + " expects " + expectations;
  if (hint.size() > kMaxHintBytes) hint.replace(kMaxHintBytes - 3, std::string::npos, "...");
  return hint;
}

}  // namespace

std::string DescribeInputs(const Signature& signature) {
  std::string expectations;
  for (const TensorInfo& info : signature.inputs) {
    if (!expectations.empty()) expectations += "; ";
    expectations += Expected(info);
  }
  return Hint(signature, expectations.empty() ? "no inputs" : expectations);
}

std::string DescribeMisfits(
    const Signature& signature,
    std::span<const std::pair<std::string_view, const HostTensor*>> inputs) {
  std::string misfits;
  for (const auto& [alias, tensor] : inputs) {
    const TensorInfo* info = signature.FindInput(alias);
    if (info == nullptr || Fits(*tensor, *info)) continue;
    if (!misfits.empty()) misfits += "; ";
    misfits +=
        Expected(*info) + ", got " + DataTypeName(tensor->dtype) + " " + DimsText(tensor->dims);
  }
  return misfits.empty() ? "" : Hint(signature, misfits);
}

}  // namespace fastserve
