#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/status.h"

namespace fastserve {

// How the messages of one direction may be compressed; the numbers are grpcio's and those of the
// channel argument grpc.default_compression_algorithm. "deflate" is zlib's format (RFC 1950).
enum class Compression : uint8_t { kIdentity = 0, kDeflate = 1, kGzip = 2 };

// What grpc-accept-encoding says of us.
inline constexpr std::string_view kAcceptedEncodings = "identity, deflate, gzip";

// As grpc-encoding writes it.
std::string_view CompressionName(Compression compression);
// Nothing for a name that we do not know.
std::optional<Compression> ParseCompression(std::string_view name);
// Whether a grpc-accept-encoding such as "identity, deflate, gzip" has `compression` in it.
bool AcceptsCompression(std::string_view accepted, Compression compression);

// Nothing where that would not make the message smaller. REQUIRES: not kIdentity
std::optional<ByteChain> Compress(Compression compression, const ByteChain& message);

// kInternal for bytes that are not one whole message so compressed, kResourceExhausted once the
// message is longer than `limit`; no more than about twice that is ever allocated.
// REQUIRES: not kIdentity
Result<std::string> Decompress(Compression compression, ByteView bytes, size_t limit);

}  // namespace fastserve
