#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

// The part of TensorFlow's C API (tensorflow/c/c_api.h) that is used here, declared anew so that
// nothing of TensorFlow is needed to build. tests/native/session/tf_api_signatures.cc checks each
// declaration against the headers of an installed wheel.
extern "C" {
struct TF_Buffer;
struct TF_Graph;
struct TF_Operation;
struct TF_Session;
struct TF_SessionOptions;
struct TF_Status;
struct TF_Tensor;
struct TF_TString;
struct TF_Output {
  TF_Operation* oper;
  int index;
};
}

namespace fastserve {

// Function pointers into libtensorflow, opened with RTLD_LOCAL so that its BoringSSL, protobuf and
// abseil never meet ours. One for the process; never unloaded. Immutable after Load().
struct TfApi;

}  // namespace fastserve
