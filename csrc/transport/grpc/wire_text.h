#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/grpc/call.h"

namespace fastserve {

// How gRPC writes things in header fields; all from "gRPC over HTTP2" (PROTOCOL-HTTP2.md) unless
// another source is named.

// A grpc-timeout such as "100m": up to eight digits and one of H, M, S, m, u, n. Nothing when
// malformed. Capped at 30 years, so that it can be added to a clock.
std::optional<std::chrono::nanoseconds> ParseTimeout(std::string_view text);

// "application/grpc", alone or with a "+codec" or ";parameter".
bool IsGrpcContentType(std::string_view content_type);

// A grpc-message: every byte but printable ASCII, and '%', as %XX.
std::string PercentEncode(std::string_view text);

// A status message as upstream sends it: at most 1024 bytes, then "...TRUNCATED"
// (tensorflow_serving/model_servers/grpc_status_util.cc).
std::string_view CutStatusMessage(std::string_view message, std::string& storage);

// Standard base64 without padding.
std::string Base64Encode(ByteView bytes);
// With padding or without. Nothing when malformed.
std::optional<std::string> Base64Decode(std::string_view text);

// Whether values of `key` are binary, thus base64 on the wire.
bool IsBinaryKey(std::string_view key);

// Whether a request's field is custom metadata, and not one of HTTP's or of gRPC's own.
bool IsCustomKey(std::string_view key);

// OK if every key and value may be sent as custom metadata, else kInternal with the key's name.
Status CheckMetadata(const Metadata& metadata);

}  // namespace fastserve
