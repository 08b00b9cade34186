#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace fastserve {

// A socket address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// Reads "127.0.0.1:8500", "[::]:8500", "localhost:8500" (the first address of the name), ":8500"
// (every IPv4 address), "unix:path" or "unix:///path".
Result<SocketAddress> ParseAddress(std::string_view text);

// The TCP port; 0 for a unix address.
int PortOf(const SocketAddress& address);

// "ipv4:127.0.0.1:1234", "ipv6:[::1]:1234" or "unix:". An IPv4 peer of an IPv6 socket is ipv4.
std::string PeerName(const SocketAddress& peer);

}  // namespace fastserve
