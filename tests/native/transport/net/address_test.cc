#include "transport/net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>
#include <string>

namespace fastserve {
namespace {

std::string UnixPathOf(std::string_view text) {
  const Result<SocketAddress> address = ParseAddress(text);
  if (!address.ok()) return address.status().ToString();
  EXPECT_EQ(address->family(), AF_UNIX);
  const auto* name = reinterpret_cast<const sockaddr_un*>(address->get());
  EXPECT_EQ(address->length, offsetof(sockaddr_un, sun_path) + std::strlen(name->sun_path) + 1);
  return name->sun_path;
}

TEST(ParseAddressTest, ReadsHostAndPort) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"127.0.0.1:8500", "ipv4:127.0.0.1:8500"},
      {"0.0.0.0:0", "ipv4:0.0.0.0:0"},
      {":65535", "ipv4:0.0.0.0:65535"},
      {"[::]:8500", "ipv6:[::]:8500"},
      {"[::1]:1", "ipv6:[::1]:1"},
  };
  for (const auto& [text, expected] : kCases) {
    const Result<SocketAddress> address = ParseAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(PeerName(*address), expected);
    EXPECT_EQ(expected, std::string(expected).substr(0, std::string(expected).rfind(':') + 1) +
                            std::to_string(PortOf(*address)));
  }
}

TEST(ParseAddressTest, LooksUpNames) {
  const Result<SocketAddress> address = ParseAddress("localhost:8500");
  ASSERT_TRUE(address.ok());
  const std::string name = PeerName(*address);
  EXPECT_TRUE(name == "ipv4:127.0.0.1:8500" || name == "ipv6:[::1]:8500") << name;
}

TEST(ParseAddressTest, ReadsUnixPathsWithAndWithoutTheSlashesOfAUri) {
  EXPECT_EQ(UnixPathOf("unix:/run/x.sock"), "/run/x.sock");
  EXPECT_EQ(UnixPathOf("unix:///run/x.sock"), "/run/x.sock");
  EXPECT_EQ(UnixPathOf("unix:relative"), "relative");
  EXPECT_EQ(UnixPathOf("unix:" + std::string(107, 'p')), std::string(107, 'p'));
}

TEST(ParseAddressTest, RefusesUnixPathsThatTheKernelDoesNotTake) {
  EXPECT_EQ(UnixPathOf("unix:"), "INVALID_ARGUMENT: bad address \"unix:\": it names no path");
  const std::string text = "unix:" + std::string(108, 'p');
  EXPECT_EQ(UnixPathOf(text),
            "INVALID_ARGUMENT: bad address \"" + text + "\": the path is longer than 107 bytes");
}

TEST(ParseAddressTest, NamesTheBadAddressAndSaysWhatIsWrong) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"", "it has no port"},
      {"localhost", "it has no port"},
      {"127.0.0.1:", "it has no port"},
      {"::1:8500", "an IPv6 address is written in brackets"},
      {"[::1]", "an IPv6 address is written in brackets"},
      {"[::1:8500", "an IPv6 address is written in brackets"},
  };
  for (const auto& [text, why] : kCases) {
    const Result<SocketAddress> address = ParseAddress(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(address.status().message(), "bad address \"" + std::string(text) + "\": " + why);
  }
}

TEST(ParseAddressTest, PortIsANumberFrom0To65535) {
  for (const char* port : {"http", "80x", "x80", "-1", "+80", " 80", "80 ", "65536", "131152",
                           "99999999999999999999"}) {
    const Result<SocketAddress> address = ParseAddress("127.0.0.1:" + std::string(port));
    ASSERT_FALSE(address.ok()) << port;
    EXPECT_EQ(address.status().message(), "bad address \"127.0.0.1:" + std::string(port) +
                                              "\": its port is not a number from 0 to 65535");
  }
}

TEST(PeerNameTest, Ipv4PeerOfAnIpv6SocketIsIpv4) {
  SocketAddress address;
  auto* name = reinterpret_cast<sockaddr_in6*>(address.get());
  name->sin6_family = AF_INET6;
  name->sin6_port = htons(1234);
  ASSERT_EQ(inet_pton(AF_INET6, "::ffff:10.1.2.3", &name->sin6_addr), 1);
  EXPECT_EQ(PeerName(address), "ipv4:10.1.2.3:1234");
}

TEST(PeerNameTest, UnixPeerHasNeitherNameNorPort) {
  const Result<SocketAddress> address = ParseAddress("unix:/run/x.sock");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(PeerName(*address), "unix:");
  EXPECT_EQ(PortOf(*address), 0);
}

}  // namespace
}  // namespace fastserve
