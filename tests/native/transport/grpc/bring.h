#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "transport/grpc/grpc_session.h"

namespace fastserve {

// Hands bytes over as a connection does: what goes to a place that the session knows lies there.
inline Status Bring(GrpcSession& session, ByteView bytes) {
  const std::span<char> place = session.http2().Room();
  const size_t placed = std::min(place.size(), bytes.size());
  if (placed == 0) return session.Receive(bytes);
  std::memcpy(place.data(), bytes.data(), placed);
  FASTSERVE_RETURN_IF_ERROR(session.Receive({place.data(), placed}));
  return placed < bytes.size() ? session.Receive(bytes.substr(placed)) : Status();
}

}  // namespace fastserve
