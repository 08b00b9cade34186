#include "transport/grpc/compression.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>

namespace fastserve {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"identity", "deflate", "gzip"};
constexpr size_t kFirstRoom = 16 << 10;
// zlib counts in 32 bits.
constexpr size_t kMaxPiece = std::numeric_limits<uInt>::max();

// zlib's way to choose between the two formats.
int WindowBits(Compression compression) {
  return compression == Compression::kGzip ? MAX_WBITS + 16 : MAX_WBITS;
}

Bytef* Bytes(const char* data) { return reinterpret_cast<Bytef*>(const_cast<char*>(data)); }

// False when memory is short.
bool Grow(std::string& text, size_t size) {
  try {
    text.resize(size);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

struct Deflater : z_stream {
  explicit Deflater(Compression compression) : z_stream{} {
    ok = deflateInit2(this, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WindowBits(compression), 8,
                      Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~Deflater() { deflateEnd(this); }
  bool ok;
};

struct Inflater : z_stream {
  explicit Inflater(Compression compression) : z_stream{} {
    ok = inflateInit2(this, WindowBits(compression)) == Z_OK;
  }
  ~Inflater() { inflateEnd(this); }
  bool ok;
};

}  // namespace

std::string_view CompressionName(Compression compression) {
  return kNames[static_cast<size_t>(compression)];
}

std::optional<Compression> ParseCompression(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Compression>(found - kNames.begin());
}

bool AcceptsCompression(std::string_view accepted, Compression compression) {
  while (!accepted.empty()) {
    const size_t end = std::min(accepted.find(','), accepted.size());
    std::string_view name = accepted.substr(0, end);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (name == CompressionName(compression)) return true;
    accepted.remove_prefix(std::min(end + 1, accepted.size()));
  }
  return false;
}

std::optional<ByteChain> Compress(Compression compression, const ByteChain& message) {
  Deflater deflater(compression);
  if (!deflater.ok || message.size() > kMaxPiece) return std::nullopt;
  // No room for more than the message has: what does not fit is not worth it.
  ByteChain chain;
  PooledString& packed = chain.tail();
  packed.resize(message.size());
  deflater.next_out = Bytes(packed.data());
  deflater.avail_out = static_cast<uInt>(packed.size());
  for (const ByteChain::Slice& slice : message.Slices()) {
    deflater.next_in = Bytes(slice.bytes.data());
    deflater.avail_in = static_cast<uInt>(slice.bytes.size());
    deflate(&deflater, Z_NO_FLUSH);
    if (deflater.avail_in > 0) return std::nullopt;
  }
  if (deflate(&deflater, Z_FINISH) != Z_STREAM_END) return std::nullopt;
  packed.resize(deflater.total_out);
  return chain;
}

Result<std::string> Decompress(Compression compression, ByteView bytes, size_t limit) {
  Inflater inflater(compression);
  std::string message;
  size_t filled = 0;
  int result = inflater.ok ? Z_OK : Z_MEM_ERROR;
  inflater.next_in = Bytes(bytes.data());
  inflater.avail_in = static_cast<uInt>(bytes.size());  // gRPC's prefix has 32 bits for it
  while (result == Z_OK) {
    // One byte more than the limit tells a message that is too long.
    if (filled == message.size() &&
        !Grow(message, std::min(std::max(kFirstRoom, 2 * filled), limit + 1))) {
      return Status::ResourceExhausted("no memory for a message of more than " +
                                       std::to_string(filled) + " bytes");
    }
    const size_t room = std::min(message.size() - filled, kMaxPiece);
    inflater.next_out = Bytes(message.data() + filled);
    inflater.avail_out = static_cast<uInt>(room);
    result = inflate(&inflater, Z_NO_FLUSH);
    filled += room - inflater.avail_out;
    if (filled > limit) {
      return Status::ResourceExhausted("Received message larger than max (more than " +
                                       std::to_string(limit) + " bytes when decompressed)");
    }
  }
  if (result != Z_STREAM_END || inflater.avail_in > 0) {
    return Status::Internal("a message cannot be decompressed as " +
                            std::string(CompressionName(compression)));
  }
  message.resize(filled);
  return message;
}

}  // namespace fastserve
