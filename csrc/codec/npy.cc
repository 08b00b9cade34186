#include "codec/npy.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

namespace fastserve {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kShortPrefix = 10;  // magic, version, and the header's length in two bytes
constexpr size_t kLongPrefix = 12;   // since version 2: in four bytes
constexpr size_t kDataAlignment = 64;

struct NpyType {
  DataType dtype;
  std::string_view name;  // behind the mark of the byte order
};
constexpr NpyType kTypes[] = {
    {DataType::kFloat, "f4"},     {DataType::kDouble, "f8"},      {DataType::kHalf, "f2"},
    {DataType::kInt8, "i1"},      {DataType::kInt16, "i2"},       {DataType::kInt32, "i4"},
    {DataType::kInt64, "i8"},     {DataType::kUint8, "u1"},       {DataType::kUint16, "u2"},
    {DataType::kUint32, "u4"},    {DataType::kUint64, "u8"},      {DataType::kBool, "b1"},
    {DataType::kComplex64, "c8"}, {DataType::kComplex128, "c16"},
};

Status NotNpy(const std::string& problem) {
  return Status::InvalidArgument("The body is not an npy file: " + problem);
}

Status NoMemory() { return Status::ResourceExhausted("No memory for the tensors of the request"); }

// The part of a file before its data.
struct Layout {
  size_t header_begin;
  size_t data_begin;
};

std::optional<Layout> FindLayout(ByteView head) {
  if (head.size() < kLongPrefix || !head.starts_with(kMagic)) return std::nullopt;
  const auto byte = [&](size_t i) { return size_t{static_cast<uint8_t>(head[i])}; };
  const size_t version = byte(kMagic.size());
  if (version < 1 || version > 3) return std::nullopt;
  size_t length = byte(8) | byte(9) << 8;
  if (version == 1) return Layout{kShortPrefix, kShortPrefix + length};
  length |= byte(10) << 16 | byte(11) << 24;
  return Layout{kLongPrefix, kLongPrefix + length};
}

// What a header says: the literal of a Python dictionary.
struct Header {
  std::string_view descr;
  bool fortran_order = false;
  Dims shape;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  // False when it is not the literal that NumPy writes: each of the three keys once.
  bool Read(Header* header);

 private:
  bool Take(std::string_view token);
  bool ReadString(std::string_view* text);
  bool ReadBool(bool* value);
  bool ReadShape(Dims* shape);
  bool ReadValue(std::string_view key, Header* header);

  std::string_view text_;  // the rest
};

// Takes a token, with the white space before it, if it is next.
bool HeaderReader::Take(std::string_view token) {
  text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size()));
  if (!text_.starts_with(token)) return false;
  text_.remove_prefix(token.size());
  return true;
}

bool HeaderReader::ReadString(std::string_view* text) {
  const char quote = Take("'") ? '\'' : '"';
  if (quote == '"' && !Take("\"")) return false;
  const size_t end = text_.find(quote);
  if (end == std::string_view::npos) return false;
  *text = text_.substr(0, end);
  text_.remove_prefix(end + 1);
  return true;
}

bool HeaderReader::ReadBool(bool* value) {
  *value = Take("True");
  return *value || Take("False");
}

bool HeaderReader::ReadShape(Dims* shape) {
  if (!Take("(")) return false;
  while (!Take(")")) {
    Take("");
    int64_t extent = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data(), end, extent);
    if (error != std::errc() || extent < 0) return false;
    text_.remove_prefix(static_cast<size_t>(stop - text_.data()));
    Take("L");  // Python 2's mark of a long integer
    shape->push_back(extent);
    if (!Take(",")) return Take(")");
  }
  return true;
}

bool HeaderReader::ReadValue(std::string_view key, Header* header) {
  if (key == "descr") return ReadString(&header->descr);
  if (key == "fortran_order") return ReadBool(&header->fortran_order);
  return key == "shape" && ReadShape(&header->shape);
}

bool HeaderReader::Read(Header* header) {
  if (!Take("{")) return false;
  std::string_view seen[3];
  for (std::string_view& key : seen) {
    if (!ReadString(&key) || !Take(":") || !ReadValue(key, header)) return false;
    if (std::count(seen, &key + 1, key) != 1) return false;
    if (!Take(",") && &key != &seen[2]) return false;
  }
  return Take("}");
}

// The dtype of "<f4" and the like, and whether its bytes are in the other order.
Result<DataType> ReadDescr(std::string_view descr, bool* swapped) {
  const std::string_view name = descr.substr(descr.empty() ? 0 : 1);
  const char order = descr.empty() ? '\0' : descr[0];
  for (const NpyType& type : kTypes) {
    if (type.name != name || std::string_view("<>=|").find(order) == std::string_view::npos) {
      continue;
    }
    *swapped = order == '>' && ElementSize(type.dtype) > 1;
    return type.dtype;
  }
  return Status::InvalidArgument("An npy file of dtype '" + std::string(descr) +
                                 "' cannot be taken; numbers, complex numbers and booleans can");
}

void SwapBytes(char* data, size_t size, size_t unit) {
  for (size_t at = 0; at < size; at += unit) std::reverse(data + at, data + at + unit);
}

// Elements that lie with the first index running fastest, in row-major order.
void Transpose(const char* from, const Dims& dims, size_t element_size, char* to) {
  const size_t rank = dims.size();
  InlineVector<size_t, 6> steps;  // in bytes, from one index to the next
  InlineVector<int64_t, 6> index;
  size_t step = element_size;
  for (const int64_t extent : dims) {
    steps.push_back(step);
    index.push_back(0);
    step *= static_cast<size_t>(extent);
  }
  const char* const end = from + step;
  const char* at = from;
  for (size_t left = static_cast<size_t>(end - from) / element_size; left > 0; --left) {
    std::memcpy(to, at, element_size);
    to += element_size;
    for (size_t dim = rank; dim-- > 0;) {
      at += steps[dim];
      if (++index[dim] < dims[dim]) break;
      at -= steps[dim] * static_cast<size_t>(dims[dim]);
      index[dim] = 0;
    }
  }
}

// Has the elements little-endian and row-major, in memory of their own.
Status Normalize(bool swapped, bool transposed, HostTensor* tensor) {
  ByteBuffer copy = ByteBuffer::Allocate(tensor->data.size());
  if (!copy) return NoMemory();
  const size_t size = ElementSize(tensor->dtype);
  if (transposed) {
    Transpose(tensor->data.data(), tensor->dims, size, copy.data());
  } else {
    std::memcpy(copy.data(), tensor->data.data(), tensor->data.size());
  }
  const bool is_complex =
      tensor->dtype == DataType::kComplex64 || tensor->dtype == DataType::kComplex128;
  if (swapped) SwapBytes(copy.data(), copy.size(), is_complex ? size / 2 : size);
  tensor->data = copy.view();
  tensor->owner = std::move(copy);
  return Status();
}

}  // namespace

size_t NpyDataOffset(ByteView head) {
  const std::optional<Layout> layout = FindLayout(head);
  return layout ? layout->data_begin : 0;
}

Result<HostTensor> ReadNpy(ByteView file, const ByteBuffer& owner) {
  const std::optional<Layout> layout = FindLayout(file);
  if (!layout) return NotNpy("it does not begin as np.save writes it");
  if (layout->data_begin > file.size()) return NotNpy("its header is not whole");
  Header header;
  HeaderReader reader(file.substr(layout->header_begin, layout->data_begin - layout->header_begin));
  if (!reader.Read(&header)) {
    return NotNpy(
        "its header is not of the form {'descr': '<f4', 'fortran_order': False, "
        "'shape': (2, 3)}");
  }
  bool swapped = false;
  const Result<DataType> dtype = ReadDescr(header.descr, &swapped);
  if (!dtype.ok()) return dtype.status();
  HostTensor tensor;
  tensor.dtype = *dtype;
  tensor.dims = std::move(header.shape);
  tensor.data = file.substr(layout->data_begin);
  tensor.owner = owner;
  const int64_t count = ElementCount(tensor.dims);
  size_t needed;
  if (count < 0 || __builtin_mul_overflow(count, ElementSize(*dtype), &needed) ||
      needed != tensor.data.size()) {
    return NotNpy(std::to_string(tensor.data.size()) + " bytes of data are not those of shape " +
                  DimsText(tensor.dims) + " and dtype " + DataTypeName(*dtype));
  }
  const bool transposed = header.fortran_order && tensor.dims.size() > 1;
  if (needed > 0 && (swapped || transposed)) {
    FASTSERVE_RETURN_IF_ERROR(Normalize(swapped, transposed, &tensor));
  }
  return tensor;
}

bool HasNpyForm(DataType dtype) {
  return std::any_of(std::begin(kTypes), std::end(kTypes),
                     [&](const NpyType& type) { return type.dtype == dtype; });
}

std::string WriteNpy(const HostTensor& tensor) {
  const NpyType* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                     [&](const auto& each) { return each.dtype == tensor.dtype; });
  std::string header = "{'descr': '";
  header += ElementSize(tensor.dtype) == 1 ? '|' : '<';
  header += type->name;
  header += "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < tensor.dims.size(); ++i) {
    header += (i > 0 ? ", " : "") + std::to_string(tensor.dims[i]);
  }
  header += tensor.dims.size() == 1 ? ",), }" : "), }";
  // A version 1 header has room for the most dimensions that a tensor can have.
  const size_t unpadded = kShortPrefix + header.size() + 1;
  header.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  header += '\n';
  std::string file;
  file.reserve(kShortPrefix + header.size() + tensor.data.size());
  file += kMagic;
  file += {'\x01', '\x00', static_cast<char>(header.size()), static_cast<char>(header.size() >> 8)};
  file += header;
  file += tensor.data;
  return file;
}

}  // namespace fastserve
