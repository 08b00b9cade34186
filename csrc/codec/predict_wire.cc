#include "codec/predict_wire.h"

#include <algorithm>

#include "codec/wire_format.h"
#include "codec/wire_reader.h"
#include "codec/wire_rules.h"

namespace fastserve {
namespace {

namespace request {
constexpr uint32_t kModelSpec = 1;
constexpr uint32_t kInputs = 2;
constexpr uint32_t kOutputFilter = 3;
constexpr uint32_t kPredictStreamedOptions = 5;
constexpr uint32_t kRequestOptions = 7;
}  // namespace request

namespace response {
constexpr uint32_t kOutputs = 1;
constexpr uint32_t kModelSpec = 2;
}  // namespace response

bool ReadInput(WireReader in, PredictRequestView* view) {
  const MapEntry entry = ReadMapEntry(in);
  if (!in.ok()) return false;
  for (const ByteView piece : entry.pieces) {
    if (!IsValidMessage(in.Nested(piece), kTensorProtoRules)) return false;
  }
  ByteBuffer joined;
  view->inputs.emplace_back(entry.key, entry.Value(&joined));
  if (joined) view->joined.push_back(std::move(joined));
  return true;
}

bool ReadField(WireReader& in, PredictRequestView* view) {
  switch (in.tag()) {
    case BytesTag(request::kModelSpec):
      view->has_model_spec = true;
      return ReadModelSpec(in.Message(), &view->model_spec);
    case BytesTag(request::kInputs):
      return ReadInput(in.Message(), view);
    case BytesTag(request::kOutputFilter):
      view->output_filter.push_back(in.Text());
      return true;
    case BytesTag(request::kPredictStreamedOptions):
      return IsValidMessage(in.Message(), kPredictStreamedOptionsRules);
    case BytesTag(request::kRequestOptions):
      return IsValidMessage(in.Message(), kRequestOptionsRules);
    default:
      in.Skip();
      return true;
  }
}

// Sorts by alias, and keeps of each the last.
void SortInputs(PooledVector<std::pair<std::string_view, ByteView>>* inputs) {
  const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (inputs->size() < 2) return;
  std::reverse(inputs->begin(), inputs->end());
  std::stable_sort(inputs->begin(), inputs->end(), before);
  inputs->erase(std::unique(inputs->begin(), inputs->end(), same), inputs->end());
}

}  // namespace

Result<PredictRequestView> ParsePredictRequest(ByteView message) {
  PredictRequestView view;
  view.inputs.reserve(4);
  WireReader in(message);
  while (in.Next()) in.Require(ReadField(in, &view));
  if (!in.ok()) return Status::Internal("");
  SortInputs(&view.inputs);
  return view;
}

Status PredictResponseWriter::AddOutput(std::string_view alias, const HostTensor& tensor,
                                        const std::shared_ptr<const void>& owner) {
  const TensorProtoWriter value(tensor, encoding_);
  if (!value.can_write()) {
    return Status::Internal("Cannot write output \"" + std::string(alias) + "\" of dtype " +
                            DataTypeName(tensor.dtype));
  }
  const size_t key_size = BytesFieldSize(map_entry::kKey, alias.size());
  const size_t value_header = BytesHeaderSize(map_entry::kValue, value.size());
  const size_t entry_size = key_size + value_header + value.size();
  const size_t entry_header = BytesHeaderSize(response::kOutputs, entry_size);
  char* to = Extend(&out_.tail(), entry_header + key_size + value_header);
  to = WriteBytesHeader(to, response::kOutputs, entry_size);
  to = WriteBytesField(to, map_entry::kKey, alias);
  WriteBytesHeader(to, map_entry::kValue, value.size());
  value.Write(&out_, owner);
  return {};
}

void PredictResponseWriter::AddModelSpec(std::string_view name, int64_t version,
                                         std::string_view signature_name) {
  const AnsweringModel model{name, version, signature_name};
  char* to = Extend(&out_.tail(), ModelSpecFieldSize(response::kModelSpec, model));
  WriteModelSpecField(to, response::kModelSpec, model);
}

}  // namespace fastserve
