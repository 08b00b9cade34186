#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "codec/base64.h"
#include "codec/json_number.h"
#include "codec/json_text.h"
#include "codec/predict_json.h"

namespace fastserve {
namespace {

constexpr int kIndent = 4;
constexpr size_t kBlock = 64;  // numbers written between two looks at the text's room

// Integers have the room of kMaxJsonNumberSize as well.
template <class T>
char* FormatNumber(T value, char* to) {
  if constexpr (std::is_same_v<T, bool>) {
    const std::string_view word = value ? "true" : "false";
    return std::copy(word.begin(), word.end(), to);
  } else if constexpr (std::is_floating_point_v<T>) {
    return FormatJsonNumber(value, to);
  } else {
    return std::to_chars(to, to + kMaxJsonNumberSize, value).ptr;
  }
}

// How the elements of a list are set.
enum class ListLayout {
  kOneLine,  // [1, 2]
  kOnePerLine,
};

// One output, written in pieces. Nested lists are as deep as a tensor of TensorFlow's has
// dimensions, 254 at most.
class TensorWriter {
 public:
  TensorWriter(std::string_view alias, const HostTensor& tensor, ListLayout layout,
               std::string* text)
      : tensor_(tensor),
        layout_(layout),
        as_base64_(tensor.dtype == DataType::kString && alias.ends_with("_bytes")),
        text_(*text) {}

  // Writes the next part of the tensor that fixing the first `dim` indices leaves, as a value at
  // `depth` of nesting.
  Status Write(size_t dim, int depth);

 private:
  Status WriteElements(size_t count, std::string_view separator, int depth);
  template <class T>
  void WriteNumbers(size_t count, std::string_view separator);
  void WriteStrings(size_t count, std::string_view separator, int depth);
  void WriteBase64(std::string_view bytes, int depth);

  const HostTensor& tensor_;
  const ListLayout layout_;
  const bool as_base64_;
  std::string& text_;
  size_t next_ = 0;  // element
};

void NewLine(std::string* text, int depth) {
  text->push_back('\n');
  text->append(static_cast<size_t>(kIndent * depth), ' ');
}

Status TensorWriter::Write(size_t dim, int depth) {
  const size_t rank = tensor_.dims.size();
  if (dim >= rank) return WriteElements(1, "", depth);
  const auto extent = static_cast<size_t>(tensor_.dims[dim]);
  if (extent == 0) {
    text_ += "[]";
    return Status();
  }
  const bool one_line = layout_ == ListLayout::kOneLine;
  std::string separator = one_line ? ", " : ",";
  if (!one_line) NewLine(&separator, depth + 1);
  text_ += '[';
  if (!one_line) NewLine(&text_, depth + 1);
  if (dim + 1 == rank) {
    FASTSERVE_RETURN_IF_ERROR(WriteElements(extent, separator, depth + 1));
  } else {
    for (size_t i = 0; i < extent; ++i) {
      if (i > 0) text_ += separator;
      FASTSERVE_RETURN_IF_ERROR(Write(dim + 1, depth + 1));
    }
  }
  if (!one_line) NewLine(&text_, depth);
  text_ += ']';
  return Status();
}

Status TensorWriter::WriteElements(size_t count, std::string_view separator, int depth) {
  switch (tensor_.dtype) {
    case DataType::kFloat:
      WriteNumbers<float>(count, separator);
      return Status();
    case DataType::kDouble:
      WriteNumbers<double>(count, separator);
      return Status();
    case DataType::kInt32:
      WriteNumbers<int32_t>(count, separator);
      return Status();
    case DataType::kInt16:
      WriteNumbers<int16_t>(count, separator);
      return Status();
    case DataType::kInt8:
      WriteNumbers<int8_t>(count, separator);
      return Status();
    case DataType::kUint8:
      WriteNumbers<uint8_t>(count, separator);
      return Status();
    case DataType::kInt64:
      WriteNumbers<int64_t>(count, separator);
      return Status();
    case DataType::kUint32:
      WriteNumbers<uint32_t>(count, separator);
      return Status();
    case DataType::kUint64:
      WriteNumbers<uint64_t>(count, separator);
      return Status();
    case DataType::kBool:
      WriteNumbers<bool>(count, separator);
      return Status();
    case DataType::kString:
      WriteStrings(count, separator, depth);
      return Status();
    default:
      return Status::InvalidArgument("Failed to write JSON value for tensor type: " +
                                     DataTypeName(tensor_.dtype));
  }
}

template <class T>
void TensorWriter::WriteNumbers(size_t count, std::string_view separator) {
  assert((next_ + count) * sizeof(T) <= tensor_.data.size());
  const char* from = tensor_.data.data() + next_ * sizeof(T);
  next_ += count;
  for (bool first = true; count > 0;) {
    const size_t block = std::min(count, kBlock);
    const size_t before = text_.size();
    text_.resize(before + block * (separator.size() + kMaxJsonNumberSize));
    char* to = text_.data() + before;
    for (size_t i = 0; i < block; ++i, from += sizeof(T)) {
      if (!first) to = std::copy(separator.begin(), separator.end(), to);
      first = false;
      T value;
      std::memcpy(&value, from, sizeof value);
      to = FormatNumber(value, to);
    }
    text_.resize(static_cast<size_t>(to - text_.data()));
    count -= block;
  }
}

void TensorWriter::WriteStrings(size_t count, std::string_view separator, int depth) {
  assert(next_ + count <= tensor_.strings.size());
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text_ += separator;
    const std::string_view bytes = tensor_.strings[next_++];
    if (as_base64_) {
      WriteBase64(bytes, depth);
    } else {
      AppendJsonString(&text_, bytes);
    }
  }
}

void TensorWriter::WriteBase64(std::string_view bytes, int depth) {
  text_ += '{';
  NewLine(&text_, depth + 1);
  text_ += "\"b64\": \"";
  AppendBase64(&text_, bytes);
  text_ += '"';
  NewLine(&text_, depth);
  text_ += '}';
}

using Outputs = std::span<const std::pair<std::string_view, HostTensor>>;

// The common first extent of all outputs.
Result<int64_t> RowCount(Outputs outputs) {
  int64_t rows = -1;
  for (const auto& [alias, tensor] : outputs) {
    if (tensor.dims.empty()) {
      return Status::InvalidArgument("Tensor name: " + std::string(alias) +
                                     " has no shape information ");
    }
    if (rows >= 0 && tensor.dims[0] != rows) {
      return Status::InvalidArgument(
          "Tensor name: " + std::string(alias) + " has inconsistent batch size: " +
          std::to_string(tensor.dims[0]) + " expecting: " + std::to_string(rows));
    }
    rows = tensor.dims[0];
  }
  return rows;
}

std::vector<TensorWriter> MakeWriters(Outputs outputs, ListLayout layout, std::string* text) {
  std::vector<TensorWriter> writers;
  writers.reserve(outputs.size());
  for (const auto& [alias, tensor] : outputs) writers.emplace_back(alias, tensor, layout, text);
  return writers;
}

// {"<alias>": <rest of that tensor>, ...}, a line each.
Status WriteNamed(Outputs outputs, std::vector<TensorWriter>* writers, size_t dim, int depth,
                  std::string* text) {
  *text += '{';
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (i > 0) *text += ',';
    NewLine(text, depth + 1);
    AppendJsonString(text, outputs[i].first);
    *text += ": ";
    FASTSERVE_RETURN_IF_ERROR((*writers)[i].Write(dim, depth + 1));
  }
  NewLine(text, depth);
  *text += '}';
  return Status();
}

// Upstream writes each row with one-line lists and closes the list of rows on a line of its own.
Status WriteRows(Outputs outputs, std::string* text) {
  constexpr int kDepth = 2;  // of a row
  const Result<int64_t> rows = RowCount(outputs);
  if (!rows.ok()) return rows.status();
  std::vector<TensorWriter> writers = MakeWriters(outputs, ListLayout::kOneLine, text);
  *text += "\"predictions\": [";
  for (int64_t row = 0; row < *rows; ++row) {
    if (outputs.size() == 1) {
      if (row > 0) *text += ", ";
      FASTSERVE_RETURN_IF_ERROR(writers[0].Write(1, kDepth));
      continue;
    }
    if (row > 0) *text += ',';
    NewLine(text, kDepth);
    FASTSERVE_RETURN_IF_ERROR(WriteNamed(outputs, &writers, 1, kDepth, text));
  }
  if (*rows > 0) NewLine(text, kDepth - 1);
  *text += ']';
  return Status();
}

Status WriteColumns(Outputs outputs, std::string* text) {
  constexpr int kDepth = 1;
  std::vector<TensorWriter> writers = MakeWriters(outputs, ListLayout::kOnePerLine, text);
  *text += "\"outputs\": ";
  if (outputs.size() == 1) return writers[0].Write(0, kDepth);
  return WriteNamed(outputs, &writers, 0, kDepth, text);
}

// About the size of the answer, so that the text seldom grows.
size_t ExpectedSize(Outputs outputs) {
  constexpr size_t kBytesPerNumber = 14;
  size_t size = 64;
  for (const auto& [alias, tensor] : outputs) {
    const size_t element_size = ElementSize(tensor.dtype);
    const size_t numbers = element_size > 0 ? tensor.data.size() / element_size : 0;
    size += numbers * kBytesPerNumber + std::min(numbers, kBlock) * kMaxJsonNumberSize;
    for (const std::string_view bytes : tensor.strings) size += bytes.size() + 4;
  }
  return size;
}

}  // namespace

Result<std::string> WritePredictJson(JsonFormat format, Outputs outputs) {
  if (outputs.empty()) {
    return Status::InvalidArgument("Cannot convert empty tensor map to JSON");
  }
  std::string text;
  text.reserve(ExpectedSize(outputs));
  text += '{';
  NewLine(&text, 1);
  FASTSERVE_RETURN_IF_ERROR(format == JsonFormat::kRow ? WriteRows(outputs, &text)
                                                       : WriteColumns(outputs, &text));
  text += "\n}";
  return text;
}

std::string WriteErrorJson(std::string_view message) {
  std::string text = "{\n    \"error\": ";
  AppendJsonString(&text, message);
  text += "\n}";
  return text;
}

}  // namespace fastserve
