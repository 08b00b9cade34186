#include "codec/signature_text.h"

#include <cstdint>
#include <string_view>

namespace fastserve {
namespace {

constexpr std::string_view kMark = "goo.gle/debugproto  \n";

class TextWriter {
 public:
  void Open(std::string_view name) {
    Indent();
    text_.append(name).append(" {\n");
    ++depth_;
  }
  void Close() {
    --depth_;
    Indent();
    text_ += "}\n";
  }
  void Field(std::string_view name, std::string_view value) {
    Indent();
    text_.append(name).append(": ").append(value) += '\n';
  }
  void TextField(std::string_view name, std::string_view value) { Field(name, Quoted(value)); }

  std::string Take() && { return std::move(text_); }

 private:
  void Indent() { text_.append(2 * depth_, ' '); }

  // As C has it, with every byte outside ASCII in octal.
  static std::string Quoted(std::string_view text);

  std::string text_{kMark};
  size_t depth_ = 0;
};

void AppendOctal(std::string* to, uint8_t byte) {
  to->append({'\\', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3 & 7)),
              static_cast<char>('0' + (byte & 7))});
}

std::string TextWriter::Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\r') {
      quoted += "\\r";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (c == '"' || c == '\'' || c == '\\') {
      quoted.append({'\\', c});
    } else if (byte < 0x20 || byte >= 0x7f) {
      AppendOctal(&quoted, byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

void WriteShape(const TensorInfo& info, TextWriter* writer) {
  writer->Open("tensor_shape");
  for (const int64_t size : info.dims) {
    writer->Open("dim");
    if (size != 0) writer->Field("size", std::to_string(size));
    writer->Close();
  }
  if (info.unknown_rank) writer->Field("unknown_rank", "true");
  writer->Close();
}

void WriteTensorInfos(std::string_view field, const std::vector<TensorInfo>& infos,
                      TextWriter* writer) {
  for (const TensorInfo& info : infos) {
    writer->Open(field);
    writer->TextField("key", info.alias);
    writer->Open("value");
    if (!info.tensor_name.empty()) writer->TextField("name", info.tensor_name);
    if (info.dtype != DataType::kInvalid) writer->Field("dtype", DataTypeEnumName(info.dtype));
    WriteShape(info, writer);
    writer->Close();
    writer->Close();
  }
}

}  // namespace

std::string SignatureText(const Signature& signature) {
  TextWriter writer;
  WriteTensorInfos("inputs", signature.inputs, &writer);
  WriteTensorInfos("outputs", signature.outputs, &writer);
  if (!signature.method_name.empty()) writer.TextField("method_name", signature.method_name);
  return std::move(writer).Take();
}

}  // namespace fastserve
