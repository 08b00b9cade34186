#include "codec/signature.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "codec/wire_format.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

constexpr uint32_t kMetaGraphSignatureDef = 5;   // of MetaGraphDef
constexpr uint32_t kSignatureDefMapEntries = 1;  // of tensorflow.serving.SignatureDefMap

namespace signature_def {
constexpr uint32_t kInputs = 1;
constexpr uint32_t kOutputs = 2;
constexpr uint32_t kMethodName = 3;
constexpr uint32_t kDefaults = 4;
}  // namespace signature_def

namespace tensor_info {
constexpr uint32_t kName = 1;  // oneof encoding, with coo_sparse and composite_tensor
constexpr uint32_t kDtype = 2;
constexpr uint32_t kShape = 3;
constexpr uint32_t kCooSparse = 4;
constexpr uint32_t kCompositeTensor = 5;
}  // namespace tensor_info

// Key to value of a map's entries. A value in several pieces is joined in `joined`.
struct WireMap {
  std::map<std::string_view, ByteView> values;
  std::vector<ByteBuffer> joined;

  bool Add(WireReader in) {
    const MapEntry entry = ReadMapEntry(in);
    if (!in.ok()) return false;
    ByteBuffer buffer;
    values[entry.key] = entry.Value(&buffer);
    if (buffer) joined.push_back(std::move(buffer));
    return true;
  }
};

bool ReadDim(WireReader in, Dims* dims) {
  int64_t size = 0;
  while (in.Next()) {
    if (in.tag() == VarintTag(tensor_proto::kDimSize)) {
      size = static_cast<int64_t>(in.Varint());
    } else {
      in.Skip();
    }
  }
  dims->push_back(size);
  return in.ok();
}

bool ReadShape(WireReader in, TensorInfo* info) {
  while (in.Next()) {
    if (in.tag() == BytesTag(tensor_proto::kDim)) {
      in.Require(ReadDim(in.Message(), &info->dims));
    } else if (in.tag() == VarintTag(tensor_proto::kUnknownRank)) {
      info->unknown_rank = in.Varint() != 0;
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

bool ReadTensorInfo(WireReader in, TensorInfo* info) {
  while (in.Next()) {
    switch (in.tag()) {
      case BytesTag(tensor_info::kName):
        info->tensor_name = in.Text();
        break;
      case BytesTag(tensor_info::kCooSparse):
      case BytesTag(tensor_info::kCompositeTensor):
        info->tensor_name.clear();
        in.Skip();
        break;
      case VarintTag(tensor_info::kDtype):
        info->dtype = static_cast<DataType>(static_cast<int32_t>(in.Varint()));
        break;
      case BytesTag(tensor_info::kShape):
        in.Require(ReadShape(in.Message(), info));
        break;
      default:
        in.Skip();
    }
  }
  if (info->unknown_rank) info->dims.clear();
  return in.ok();
}

// Sorted by alias, as the map is.
bool ReadTensorInfos(const WireMap& map, std::vector<TensorInfo>* infos) {
  for (const auto& [alias, bytes] : map.values) {
    TensorInfo& info = infos->emplace_back();
    info.alias = alias;
    if (!ReadTensorInfo(WireReader(bytes), &info)) return false;
  }
  return true;
}

bool ReadSignature(WireReader in, Signature* signature) {
  WireMap inputs, outputs, defaults;
  while (in.Next()) {
    switch (in.tag()) {
      case BytesTag(signature_def::kInputs):
        in.Require(inputs.Add(in.Message()));
        break;
      case BytesTag(signature_def::kOutputs):
        in.Require(outputs.Add(in.Message()));
        break;
      case BytesTag(signature_def::kMethodName):
        signature->method_name = in.Text();
        break;
      case BytesTag(signature_def::kDefaults):
        in.Require(defaults.Add(in.Message()));
        break;
      default:
        in.Skip();
    }
  }
  for (const auto& [alias, proto] : defaults.values) signature->defaults.emplace(alias, proto);
  return in.ok() && ReadTensorInfos(inputs, &signature->inputs) &&
         ReadTensorInfos(outputs, &signature->outputs);
}

bool ReadSignatures(ByteView meta_graph_def, WireMap* signatures) {
  WireReader in(meta_graph_def);
  while (in.Next()) {
    if (in.tag() == BytesTag(kMetaGraphSignatureDef)) {
      in.Require(signatures->Add(in.Message()));
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

void AppendMapEntry(std::string* out, std::string_view key, ByteView value) {
  const size_t entry_size =
      BytesFieldSize(map_entry::kKey, key.size()) + BytesFieldSize(map_entry::kValue, value.size());
  char* to = Extend(out, BytesFieldSize(kSignatureDefMapEntries, entry_size));
  to = WriteBytesHeader(to, kSignatureDefMapEntries, entry_size);
  to = WriteBytesField(to, map_entry::kKey, key);
  WriteBytesField(to, map_entry::kValue, value);
}

const TensorInfo* Find(const std::vector<TensorInfo>& infos, std::string_view alias) {
  const auto found = std::lower_bound(
      infos.begin(), infos.end(), alias,
      [](const TensorInfo& info, std::string_view wanted) { return info.alias < wanted; });
  return found != infos.end() && found->alias == alias ? &*found : nullptr;
}

}  // namespace

const TensorInfo* Signature::FindInput(std::string_view alias) const { return Find(inputs, alias); }

const TensorInfo* Signature::FindOutput(std::string_view alias) const {
  return Find(outputs, alias);
}

Result<MetaGraphSignatures> ParseMetaGraphSignatures(ByteView meta_graph_def) {
  const Status broken(StatusCode::kDataLoss, "The model's MetaGraphDef does not parse");
  WireMap map;
  if (!ReadSignatures(meta_graph_def, &map)) return broken;
  MetaGraphSignatures parsed;
  for (const auto& [name, bytes] : map.values) {
    Signature& signature = parsed.signatures[std::string(name)];
    signature.name = name;
    if (!ReadSignature(WireReader(bytes), &signature)) return broken;
    AppendMapEntry(&parsed.signature_def_map, name, bytes);
  }
  return parsed;
}

}  // namespace fastserve
