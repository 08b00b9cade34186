#include "transport/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>

namespace fastserve {
namespace {

constexpr std::string_view kUnixScheme = "unix:";

Status BadAddress(std::string_view text, const std::string& why) {
  return Status::InvalidArgument("bad address \"" + std::string(text) + "\": " + why);
}

Result<SocketAddress> ParseUnixAddress(std::string_view text) {
  std::string_view path = text.substr(kUnixScheme.size());
  if (path.substr(0, 3) == "///") path.remove_prefix(2);
  SocketAddress address;
  auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty()) return BadAddress(text, "it names no path");
  if (path.size() >= sizeof(name->sun_path)) {
    return BadAddress(
        text, "the path is longer than " + std::to_string(sizeof(name->sun_path) - 1) + " bytes");
  }
  name->sun_family = AF_UNIX;
  std::memcpy(name->sun_path, path.data(), path.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

// getaddrinfo() takes any number and drops its upper bits.
bool IsPort(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [read_to, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && read_to == end;
}

std::string Ipv4Name(const in_addr& host, in_port_t port) {
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &host, text, sizeof(text));
  return std::string("ipv4:") + text + ":" + std::to_string(ntohs(port));
}

std::string Ipv6Name(const sockaddr_in6& peer) {
  if (IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr)) {
    in_addr host;
    std::memcpy(&host, peer.sin6_addr.s6_addr + 12, sizeof(host));
    return Ipv4Name(host, peer.sin6_port);
  }
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
  return std::string("ipv6:[") + text + "]:" + std::to_string(ntohs(peer.sin6_port));
}

}  // namespace

Result<SocketAddress> ParseAddress(std::string_view text) {
  if (text.substr(0, kUnixScheme.size()) == kUnixScheme) return ParseUnixAddress(text);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string port(text.substr(colon + 1));
  if (port.empty()) return BadAddress(text, "it has no port");
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return BadAddress(text, "an IPv6 address is written in brackets");
  }
  if (!IsPort(port)) return BadAddress(text, "its port is not a number from 0 to 65535");
  const std::string name = host.empty() ? "0.0.0.0" : std::string(host);
  addrinfo hints{.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int error = getaddrinfo(name.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return BadAddress(text, gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  SocketAddress address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  return address;
}

int PortOf(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
  }
  if (address.family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port);
  }
  return 0;
}

std::string PeerName(const SocketAddress& peer) {
  if (peer.family() == AF_INET) {
    const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(&peer.storage);
    return Ipv4Name(ipv4->sin_addr, ipv4->sin_port);
  }
  if (peer.family() == AF_INET6) {
    return Ipv6Name(*reinterpret_cast<const sockaddr_in6*>(&peer.storage));
  }
  return "unix:";
}

}  // namespace fastserve
