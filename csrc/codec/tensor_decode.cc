#include <algorithm>
#include <cstring>
#include <functional>
#include <new>

#include "codec/tensor_wire.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

// TensorFlow's TensorShape::MaxDimensions().
constexpr size_t kMaxRank = 254;

bool Holds(const ByteBuffer& owner, ByteView bytes) {
  const std::less_equal<> le;
  return owner && le(owner.data(), bytes.data()) &&
         le(bytes.data() + bytes.size(), owner.data() + owner.size());
}

// Reads varints of `piece` to `to`, dropping high bits, until either ends. Tells where it stopped
// writing; null when the piece is malformed.
template <class T>
T* ReadVarints(ByteView piece, T* to, const T* const end) {
  const char* next = piece.data();
  const char* const stop = next + piece.size();
  while (next != stop && to != end) {
    uint64_t value = 0;
    if ((next = ReadVarint(next, stop, &value)) == nullptr) return nullptr;
    *to++ = static_cast<T>(value);  // to bool: whether it is not 0
  }
  return to;
}

// Decodes one TensorProto. Each step answers false when the tensor is in error.
class TensorDecoder {
 public:
  // REQUIRES: Holds(owner, proto)
  TensorDecoder(ByteView proto, const ByteBuffer& owner) : proto_(proto), owner_(owner) {}

  bool Decode();
  HostTensor Take() && { return std::move(tensor_); }

 private:
  bool ReadHead();
  bool ReadShape(WireReader in);
  bool ReadDim(WireReader in);
  bool SetSize();

  bool Borrow(ByteView data);
  char* Allocate();
  bool AllocateStrings();
  void Fill(size_t filled_bytes);

  bool DecodeContent();
  bool DecodeContentStrings();
  bool DecodeTyped();
  bool NextPiece(WireReader& in, ByteView* piece) const;
  bool DecodeFixed();
  bool DecodeLastBytes();
  template <class T>
  bool DecodeVarints();
  bool DecodeStrings();

  const ByteView proto_;
  const ByteBuffer& owner_;
  HostTensor tensor_;
  TensorField field_;
  ByteView content_;
  size_t count_ = 0;         // elements
  size_t element_size_ = 0;  // 0 for strings
  size_t bytes_ = 0;         // of all elements in memory
};

bool TensorDecoder::Decode() {
  if (!ReadHead() || !SetSize()) return false;
  if (tensor_.dtype == DataType::kResource || tensor_.dtype == DataType::kVariant) return true;
  if (field_.form == TensorField::Form::kNone) return false;
  if (count_ == 0) return true;
  return content_.empty() ? DecodeTyped() : DecodeContent();
}

bool TensorDecoder::ReadHead() {
  WireReader in(proto_);
  while (in.Next()) {
    if (in.tag() == VarintTag(tensor_proto::kDtype)) {
      tensor_.dtype = static_cast<DataType>(static_cast<int32_t>(in.Varint()));
    } else if (in.tag() == BytesTag(tensor_proto::kShape)) {
      in.Require(ReadShape(in.Message()));
    } else if (in.tag() == BytesTag(tensor_proto::kContent)) {
      content_ = in.Bytes();
    } else {
      in.Skip();
    }
  }
  field_ = TensorFieldOf(tensor_.dtype);
  return in.ok();
}

// A shape that comes twice is merged: its dims are appended. unknown_rank changes nothing.
bool TensorDecoder::ReadShape(WireReader in) {
  while (in.Next()) {
    if (in.tag() == BytesTag(tensor_proto::kDim)) {
      in.Require(ReadDim(in.Message()));
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

bool TensorDecoder::ReadDim(WireReader in) {
  int64_t size = 0;
  while (in.Next()) {
    if (in.tag() == VarintTag(tensor_proto::kDimSize)) {
      size = static_cast<int64_t>(in.Varint());
    } else {
      in.Skip();
    }
  }
  tensor_.dims.push_back(size);
  return in.ok() && tensor_.dims.size() <= kMaxRank;
}

bool TensorDecoder::SetSize() {
  const int64_t count = ElementCount(tensor_.dims);
  if (count < 0) return false;
  count_ = static_cast<size_t>(count);
  element_size_ = ElementSize(tensor_.dtype);
  const size_t unit = element_size_ ? element_size_ : sizeof(std::string_view);
  const size_t limit = std::max(kMaxFilledBytes, 8 * proto_.size());
  return !__builtin_mul_overflow(count_, unit, &bytes_) && bytes_ <= limit;
}

bool TensorDecoder::Borrow(ByteView data) {
  tensor_.data = data;
  tensor_.owner = owner_;
  return true;
}

// The tensor's own memory; null when there is not enough.
char* TensorDecoder::Allocate() {
  tensor_.owner = ByteBuffer::Allocate(bytes_);
  tensor_.data = tensor_.owner.view();
  return tensor_.owner.data();
}

bool TensorDecoder::AllocateStrings() {
  tensor_.owner = owner_;
  try {
    tensor_.strings.resize(count_);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

// Repeats the last whole element of the first `filled_bytes` up to the end; zeros without one.
void TensorDecoder::Fill(size_t filled_bytes) {
  char* const data = tensor_.owner.data();
  size_t filled = filled_bytes - filled_bytes % element_size_;
  if (filled == 0) {
    std::memset(data, 0, bytes_);
    return;
  }
  // Copying what has been repeated so far doubles it each time.
  const size_t first = filled - element_size_;
  while (filled < bytes_) {
    const size_t step = std::min(filled - first, bytes_ - filled);
    std::memcpy(data + filled, data + first, step);
    filled += step;
  }
}

bool TensorDecoder::DecodeContent() {
  if (tensor_.dtype == DataType::kString) return DecodeContentStrings();
  if (content_.size() != bytes_) return false;
  if (tensor_.dtype == DataType::kBool && !HasNoBits(content_, 0xfe)) return false;
  return Borrow(content_);
}

// The lengths of all strings as varints of 32 bits, then their bytes.
bool TensorDecoder::DecodeContentStrings() {
  if (count_ > content_.size() || !AllocateStrings()) return false;
  const char* next = content_.data();
  const char* const end = next + content_.size();
  uint64_t total = 0;
  for (size_t i = 0; i < count_; ++i) {
    const char* const first = next;
    uint64_t size = 0;
    next = ReadVarint(next, end, &size);
    if (next == nullptr || next - first > 5) return false;
    total += static_cast<uint32_t>(size);
  }
  if (total != static_cast<uint64_t>(end - next)) return false;
  const char* size_at = content_.data();
  for (std::string_view& string : tensor_.strings) {
    uint64_t size = 0;
    size_at = ReadVarint(size_at, end, &size);
    string = {next, static_cast<uint32_t>(size)};
    next += string.size();
  }
  return true;
}

bool TensorDecoder::DecodeTyped() {
  switch (field_.form) {
    case TensorField::Form::kFixed32:
    case TensorField::Form::kFixed64:
      return DecodeFixed();
    case TensorField::Form::kBytes:
      return DecodeLastBytes();
    case TensorField::Form::kStrings:
      return DecodeStrings();
    case TensorField::Form::kVarints:
      break;
    case TensorField::Form::kNone:
      return false;
  }
  if (tensor_.dtype == DataType::kBool) return DecodeVarints<bool>();
  switch (element_size_) {
    case 1:
      return DecodeVarints<uint8_t>();
    case 2:
      return DecodeVarints<uint16_t>();
    case 4:
      return DecodeVarints<uint32_t>();
    default:
      return DecodeVarints<uint64_t>();
  }
}

// Moves `in` to the next piece of the dtype's field: packed values or one alone.
bool TensorDecoder::NextPiece(WireReader& in, ByteView* piece) const {
  WireType alone = WireType::kBytes;
  if (field_.form == TensorField::Form::kFixed32) alone = WireType::kFixed32;
  if (field_.form == TensorField::Form::kFixed64) alone = WireType::kFixed64;
  if (field_.form == TensorField::Form::kVarints) alone = WireType::kVarint;
  while (in.Next()) {
    if (in.tag() == BytesTag(field_.number) || in.tag() == WireTag(field_.number, alone)) {
      *piece = in.Value();
      return in.ok();
    }
    in.Skip();
  }
  return false;
}

bool TensorDecoder::DecodeFixed() {
  WireReader in(proto_);
  ByteView piece;
  bool more = NextPiece(in, &piece);
  if (more && piece.size() >= bytes_) return Borrow(piece.substr(0, bytes_));
  char* const data = Allocate();
  if (data == nullptr) return false;
  size_t filled = 0;
  for (; more && filled < bytes_; more = NextPiece(in, &piece)) {
    filled += piece.copy(data + filled, bytes_ - filled);
  }
  Fill(filled);
  return in.ok();
}

// The field is not repeated: its last occurrence counts.
bool TensorDecoder::DecodeLastBytes() {
  WireReader in(proto_);
  ByteView last;
  while (NextPiece(in, &last)) {
  }
  if (last.size() >= bytes_) return in.ok() && Borrow(last.substr(0, bytes_));
  char* const data = Allocate();
  if (data == nullptr) return false;
  Fill(last.copy(data, last.size()));
  return in.ok();
}

template <class T>
bool TensorDecoder::DecodeVarints() {
  WireReader in(proto_);
  ByteView piece;
  bool more = NextPiece(in, &piece);
  if (sizeof(T) == 1 && more && piece.size() >= count_) {
    // Varints of one byte are the elements themselves.
    const uint8_t not_native = std::is_same_v<T, bool> ? 0xfe : 0x80;
    const ByteView elements = piece.substr(0, count_);
    if (HasNoBits(elements, not_native)) return Borrow(elements);
  }
  T* const first = reinterpret_cast<T*>(Allocate());
  if (first == nullptr) return false;
  T* to = first;
  for (; more && to != first + count_; more = NextPiece(in, &piece)) {
    to = ReadVarints(piece, to, first + count_);
    if (to == nullptr) return false;
  }
  Fill(static_cast<size_t>(to - first) * sizeof(T));
  return in.ok();
}

bool TensorDecoder::DecodeStrings() {
  if (!AllocateStrings()) return false;
  WireReader in(proto_);
  std::string_view last;
  size_t read = 0;
  while (read < count_ && NextPiece(in, &last)) tensor_.strings[read++] = last;
  std::fill(tensor_.strings.begin() + static_cast<ptrdiff_t>(read), tensor_.strings.end(), last);
  return in.ok();
}

}  // namespace

Result<HostTensor> DecodeTensorProto(ByteView proto, const ByteBuffer& owner) {
  if (!Holds(owner, proto)) {
    const ByteBuffer copy = ByteBuffer::Copy(proto);
    if (!copy) return Status::InvalidArgument("");
    return DecodeTensorProto(copy.view(), copy);
  }
  TensorDecoder decoder(proto, owner);
  if (!decoder.Decode()) return Status::InvalidArgument("");
  return std::move(decoder).Take();
}

}  // namespace fastserve
