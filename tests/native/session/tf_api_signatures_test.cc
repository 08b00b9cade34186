// Compiles only if session/tf_api.h agrees with the headers of the installed TensorFlow.
#include <tensorflow/c/c_api.h>
#include <tensorflow/c/tf_tstring.h>

#include <type_traits>

// Second, so that its own declarations stay out: the table is then made of TensorFlow's types.
#include "base/tensor.h"
#include "session/tf_api.h"
#include "session/tf_layout.h"

namespace fastserve {
namespace {

#define FASTSERVE_SAME_SIGNATURE(name) \
  static_assert(std::is_same_v<decltype(&::TF_##name), decltype(TfApi::name)>, "TF_" #name);
FASTSERVE_TF_FUNCTIONS(FASTSERVE_SAME_SIGNATURE)
#undef FASTSERVE_SAME_SIGNATURE

static_assert(TF_FLOAT == static_cast<int>(DataType::kFloat));
static_assert(TF_STRING == static_cast<int>(DataType::kString));
static_assert(TF_HALF == static_cast<int>(DataType::kHalf));
static_assert(TF_RESOURCE == static_cast<int>(DataType::kResource));
static_assert(TF_VARIANT == static_cast<int>(DataType::kVariant));
static_assert(TF_UINT64 == static_cast<int>(DataType::kUint64));
static_assert(TF_FLOAT8_E4M3FN == static_cast<int>(DataType::kFloat8E4m3fn));
static_assert(TF_INT4 == static_cast<int>(DataType::kInt4));
static_assert(TF_UINT4 == static_cast<int>(DataType::kUint4));

static_assert(TF_INVALID_ARGUMENT == static_cast<int>(StatusCode::kInvalidArgument));
static_assert(TF_NOT_FOUND == static_cast<int>(StatusCode::kNotFound));
static_assert(TF_UNAUTHENTICATED == static_cast<int>(StatusCode::kUnauthenticated));
static_assert(TF_DATA_LOSS == static_cast<int>(StatusCode::kDataLoss));

}  // namespace
}  // namespace fastserve
