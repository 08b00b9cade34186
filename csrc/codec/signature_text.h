#pragma once

#include <string>

#include "codec/signature.h"

namespace fastserve {

// `signature` in protobuf's text format, as upstream's error texts show a SignatureDef: aliases,
// tensor names, dtypes, shapes and the method name. Left out are the defaults, and how a tensor
// without a plain name is put together. The first line is protobuf's mark for text that is not
// meant to be parsed; upstream's words and spaces in it change from one server start to the next.
std::string SignatureText(const Signature& signature);

}  // namespace fastserve
