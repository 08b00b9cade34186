#include "codec/model_spec.h"

#include "codec/wire_format.h"

namespace fastserve {
namespace {

bool ReadInt64Value(WireReader in, int64_t* value) {
  while (in.Next()) {
    if (in.tag() == VarintTag(model_spec::kInt64Value)) {
      *value = static_cast<int64_t>(in.Varint());
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

// A string field, which is left out when it is empty.
size_t TextSize(uint32_t field, std::string_view text) {
  return text.empty() ? 0 : BytesFieldSize(field, text.size());
}

char* WriteText(char* to, uint32_t field, std::string_view text) {
  return text.empty() ? to : WriteBytesField(to, field, text);
}

// Of the Int64Value, which leaves out a zero.
size_t VersionSize(int64_t version) {
  return version == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(version));
}

size_t ModelSpecSize(const AnsweringModel& model) {
  return TextSize(model_spec::kName, model.name) +
         BytesFieldSize(model_spec::kVersion, VersionSize(model.version)) +
         TextSize(model_spec::kSignatureName, model.signature_name);
}

}  // namespace

// The version is merged with one that is there, but not with one that a label has replaced.
bool ReadModelSpec(WireReader in, ModelSpecView* spec) {
  while (in.Next()) {
    switch (in.tag()) {
      case BytesTag(model_spec::kName):
        spec->name = in.Text();
        break;
      case BytesTag(model_spec::kVersion):
        spec->version_label.reset();
        if (!spec->version) spec->version = 0;
        in.Require(ReadInt64Value(in.Message(), &*spec->version));
        break;
      case BytesTag(model_spec::kSignatureName):
        spec->signature_name = in.Text();
        break;
      case BytesTag(model_spec::kVersionLabel):
        spec->version.reset();
        spec->version_label = in.Text();
        break;
      default:
        in.Skip();
    }
  }
  return in.ok();
}

size_t ModelSpecFieldSize(uint32_t field, const AnsweringModel& model) {
  return BytesFieldSize(field, ModelSpecSize(model));
}

char* WriteModelSpecField(char* to, uint32_t field, const AnsweringModel& model) {
  to = WriteBytesHeader(to, field, ModelSpecSize(model));
  to = WriteText(to, model_spec::kName, model.name);
  to = WriteBytesHeader(to, model_spec::kVersion, VersionSize(model.version));
  if (model.version != 0) {
    to = WriteVarint(to, VarintTag(model_spec::kInt64Value));
    to = WriteVarint(to, static_cast<uint64_t>(model.version));
  }
  return WriteText(to, model_spec::kSignatureName, model.signature_name);
}

}  // namespace fastserve
