#include "codec/wire_rules.h"

namespace fastserve {
namespace {

using Content = FieldRule::Content;

constexpr FieldRule kAny = {};
constexpr FieldRule kText = {Content::kText};
constexpr FieldRule kVarints = {Content::kVarints};
constexpr FieldRule kFixed32s = {Content::kFixed32s};
constexpr FieldRule kFixed64s = {Content::kFixed64s};
constexpr FieldRule MessageOf(const MessageRules& rules) { return {Content::kMessage, &rules}; }

// google.protobuf.Int64Value, Handshake, BytesList and such: nothing but numbers or bytes.
constexpr MessageRules kPlain = {};

// Each comment names a message and its fields in order, from number 0 (which none has).
// tensorflow.TensorShapeProto.Dim: size, name
constexpr FieldRule kDimFields[] = {kAny, kAny, kText};
constexpr MessageRules kDim = {kDimFields};
// tensorflow.TensorShapeProto: (1 is not used), dim, unknown_rank
constexpr FieldRule kShapeFields[] = {kAny, kAny, MessageOf(kDim)};
constexpr MessageRules kShape = {kShapeFields};
// tensorflow.ResourceHandleProto.DtypeAndShape: dtype, shape
constexpr FieldRule kDtypeAndShapeFields[] = {kAny, kAny, MessageOf(kShape)};
constexpr MessageRules kDtypeAndShape = {kDtypeAndShapeFields};
// tensorflow.ResourceHandleProto: device, container, name, hash_code, maybe_type_name,
// dtypes_and_shapes
constexpr FieldRule kResourceFields[] = {
    kAny, kText, kText, kText, kAny, kText, MessageOf(kDtypeAndShape)};
constexpr MessageRules kResource = {kResourceFields};
// tensorflow.VariantTensorDataProto: type_name, metadata, tensors
constexpr FieldRule kVariantFields[] = {kAny, kText, kAny, MessageOf(kTensorProtoRules)};
constexpr MessageRules kVariant = {kVariantFields};
// tensorflow.TensorProto: dtype, tensor_shape, version_number, tensor_content, float_val,
// double_val, int_val, string_val, scomplex_val, int64_val, bool_val, dcomplex_val, half_val,
// resource_handle_val, variant_val, uint32_val, uint64_val, float8_val
constexpr FieldRule kTensorFields[] = {kAny,
                                       kAny,
                                       MessageOf(kShape),
                                       kAny,
                                       kAny,
                                       kFixed32s,
                                       kFixed64s,
                                       kVarints,
                                       kAny,
                                       kFixed32s,
                                       kVarints,
                                       kVarints,
                                       kFixed64s,
                                       kVarints,
                                       MessageOf(kResource),
                                       MessageOf(kVariant),
                                       kVarints,
                                       kVarints,
                                       kAny};
// PredictStreamedOptions.SplitDimensionsEntry: key, value
constexpr FieldRule kSplitEntryFields[] = {kAny, kText};
constexpr MessageRules kSplitEntry = {kSplitEntryFields};
// tensorflow.serving.PredictStreamedOptions: request_state, split_dimensions,
// return_single_response
constexpr FieldRule kStreamedFields[] = {kAny, kAny, MessageOf(kSplitEntry)};
// tensorflow.serving.PredictRequest.RequestOptions: 4 is return_stoptokens, 13 is handshake
constexpr FieldRule kOptionsFields[] = {kAny, kAny, kAny, kAny, kVarints, kAny, kAny,
                                        kAny, kAny, kAny, kAny, kAny,     kAny, MessageOf(kPlain)};
// tensorflow.FloatList and tensorflow.Int64List: value
constexpr FieldRule kFloatListFields[] = {kAny, kFixed32s};
constexpr MessageRules kFloatList = {kFloatListFields};
constexpr FieldRule kInt64ListFields[] = {kAny, kVarints};
constexpr MessageRules kInt64List = {kInt64ListFields};
// tensorflow.Feature: bytes_list, float_list, int64_list
constexpr FieldRule kFeatureFields[] = {kAny, MessageOf(kPlain), MessageOf(kFloatList),
                                        MessageOf(kInt64List)};
constexpr MessageRules kFeature = {kFeatureFields};
// tensorflow.Features.FeatureEntry: key, value
constexpr FieldRule kFeatureEntryFields[] = {kAny, kText, MessageOf(kFeature)};
constexpr MessageRules kFeatureEntry = {kFeatureEntryFields};
// tensorflow.Features: feature
constexpr FieldRule kFeaturesFields[] = {kAny, MessageOf(kFeatureEntry)};
constexpr MessageRules kFeatures = {kFeaturesFields};
// tensorflow.Example: features
constexpr FieldRule kExampleFields[] = {kAny, MessageOf(kFeatures)};

bool IsValidField(WireReader& in, const FieldRule& rule) {
  switch (rule.content) {
    case Content::kAny:
      in.Bytes();
      return true;
    case Content::kText:
      in.Text();
      return true;
    case Content::kVarints:
      return IsPackedVarints(in.Bytes());
    case Content::kFixed32s:
      return in.Bytes().size() % 4 == 0;
    case Content::kFixed64s:
      return in.Bytes().size() % 8 == 0;
    case Content::kMessage:
      return IsValidMessage(in.Message(), *rule.message);
  }
  return false;
}

}  // namespace

const MessageRules kExampleRules = {kExampleFields};
const MessageRules kTensorProtoRules = {kTensorFields};
const MessageRules kPredictStreamedOptionsRules = {kStreamedFields};
const MessageRules kRequestOptionsRules = {kOptionsFields};

bool IsValidMessage(WireReader in, const MessageRules& rules) {
  while (in.Next()) {
    if (in.type() == WireType::kBytes && in.field() < rules.fields.size()) {
      in.Require(IsValidField(in, rules.fields[in.field()]));
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

}  // namespace fastserve
