#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/tensor.h"
#include "codec/signature.h"

namespace fastserve {

// Sentences for a client whose inputs were refused, beside the error's text, which clients match
// on. At most kMaxHintBytes, cut where a signature is longer.
inline constexpr size_t kMaxHintBytes = 1024;

// "signature serving_default expects images: float [-1,784]; labels: int64 of any shape"
std::string DescribeInputs(const Signature& signature);

// "signature serving_default expects images: float [-1,784], got int32 [1,784]": those of `inputs`,
// by alias, whose dtype or shape the signature does not allow. Only dtype and dims are looked at.
// Empty when they all fit.
std::string DescribeMisfits(const Signature& signature,
                            std::span<const std::pair<std::string_view, const HostTensor*>> inputs);

}  // namespace fastserve
