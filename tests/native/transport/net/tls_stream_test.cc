#include "transport/net/tls_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "transport/net/tls_peer.h"

namespace fastserve {
namespace {

using State = TlsStream::State;

std::string Take(OutputQueue& queue) {
  std::string bytes;
  while (!queue.empty()) {
    iovec vector;
    queue.Gather({&vector, 1});
    bytes.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
    queue.Consume(vector.iov_len);
  }
  return bytes;
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  return bytes;
}

// A server's stream and a client, both in memory.
class TlsStreamTest : public ::testing::Test {
 protected:
  // Opens `sealed` in portions, each at the end of the room for its plain bytes, as Socket does.
  State Open(const std::string& sealed, size_t portion = SIZE_MAX) {
    for (size_t i = 0; i < sealed.size(); i += std::min(portion, sealed.size() - i)) {
      const std::string piece = sealed.substr(i, portion);
      std::vector<char> room(TlsStream::kMaxRecord + piece.size());
      std::copy(piece.begin(), piece.end(), room.begin() + TlsStream::kMaxRecord);
      const auto opened = stream_->Open({room.data() + TlsStream::kMaxRecord, piece.size()}, room);
      plain_.append(room.data(), opened.bytes);
      if (opened.state != State::kOpen) return opened.state;
    }
    return State::kOpen;
  }
  // Carries bytes both ways until neither side has any.
  State Carry(TlsPeer& peer, size_t portion = SIZE_MAX) {
    State state = State::kOpen;
    for (bool moved = true; moved;) {
      const std::string up = peer.TakeOutput();
      if (state == State::kOpen) state = Open(up, portion);
      const std::string down = Take(stream_->sealed());
      if (!down.empty()) received_ += peer.Receive(down);
      moved = !up.empty() || !down.empty();
    }
    return state;
  }
  void Seal(const std::string& plain) {
    OutputQueue queue;
    queue.Append(plain);
    EXPECT_TRUE(stream_->Seal(queue, SIZE_MAX));
    EXPECT_TRUE(queue.empty());
  }

  const Identity server_ = MakeIdentity("server");
  TlsOptions options_{.server_key = server_.key, .server_cert = server_.cert};
  std::optional<TlsStream> stream_{std::in_place, *MakeContext(options_)};
  std::string plain_;     // at the server
  std::string received_;  // by the client
};

class TlsVersionTest : public TlsStreamTest, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, TlsVersionTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(TlsVersionTest, CarriesBytesBothWaysHoweverTheyAreCut) {
  for (const size_t portion : {size_t{1}, size_t{100}, size_t{40'000}, SIZE_MAX}) {
    SCOPED_TRACE(portion);
    stream_.emplace(*MakeContext(options_));
    plain_.clear();
    received_.clear();
    TlsPeer peer({.version = GetParam()});
    EXPECT_FALSE(stream_->established());
    EXPECT_EQ(Carry(peer, portion), State::kOpen);
    ASSERT_TRUE(stream_->established());
    ASSERT_TRUE(peer.established());
    const std::string up = Pattern(portion == 1 ? 20'000 : 300'000);
    peer.Send(up);
    Seal("hello");
    EXPECT_EQ(Carry(peer, portion), State::kOpen);
    EXPECT_EQ(plain_, up);
    EXPECT_EQ(received_, "hello");
  }
}

TEST_F(TlsStreamTest, SealsLentAndOwnBytesInOrder) {
  TlsPeer peer({});
  ASSERT_EQ(Carry(peer), State::kOpen);
  OutputQueue queue;
  std::string wanted;
  for (const size_t size : {9, 5'000, 9, 100'000, 3, 16'384, 1}) {
    const auto lent = std::make_shared<const std::string>(Pattern(size));
    queue.Borrow(*lent, lent);
    wanted += *lent;
  }
  ASSERT_TRUE(stream_->Seal(queue, SIZE_MAX));
  Carry(peer);
  EXPECT_EQ(received_, wanted);
}

TEST_F(TlsStreamTest, SealsNoMuchMoreThanTheLimitAndLeavesTheRest) {
  TlsPeer peer({});
  ASSERT_EQ(Carry(peer), State::kOpen);
  OutputQueue queue;
  queue.Append(Pattern(1 << 20));
  ASSERT_TRUE(stream_->Seal(queue, 100'000));
  EXPECT_GE(stream_->sealed().size(), 100'000u);
  EXPECT_LT(stream_->sealed().size(), 100'000u + TlsStream::kMaxRecord);
  EXPECT_GT(queue.size(), 900'000u);
}

TEST_F(TlsStreamTest, FarewellsAreSaidAndUnderstood) {
  TlsPeer peer({});
  ASSERT_EQ(Carry(peer), State::kOpen);
  stream_->SealEnd();
  Carry(peer);
  EXPECT_TRUE(peer.ended());
  peer.Send("last words");
  peer.End();
  EXPECT_EQ(Carry(peer), State::kEnded);
  EXPECT_EQ(plain_, "last words");
}

TEST_F(TlsStreamTest, ClientThatOffersOtherProtocolsIsToldSo) {
  TlsPeer peer({.alpn = std::string("\x08http/1.1")});
  EXPECT_EQ(Carry(peer), State::kFailed);
  EXPECT_FALSE(peer.established());
  EXPECT_EQ(TlsPeer::Error(), "tlsv1 alert no application protocol");
}

TEST_F(TlsStreamTest, ClientThatOffersNoProtocolIsRefused) {
  TlsPeer peer({.alpn = ""});
  EXPECT_EQ(Carry(peer), State::kFailed);
  EXPECT_FALSE(stream_->established());
}

TEST_F(TlsStreamTest, OldTlsIsRefused) {
  TlsPeer peer({.version = TLS1_1_VERSION});
  EXPECT_EQ(Carry(peer), State::kFailed);
  EXPECT_FALSE(peer.established());
}

TEST_F(TlsStreamTest, BytesThatAreNoTlsFail) {
  EXPECT_EQ(Open("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), State::kFailed);
  EXPECT_FALSE(stream_->established());
}

TEST_F(TlsStreamTest, DamagedRecordFails) {
  TlsPeer peer({});
  ASSERT_EQ(Carry(peer), State::kOpen);
  peer.Send("hello");
  std::string sealed = peer.TakeOutput();
  sealed.back() = static_cast<char>(sealed.back() ^ 1);
  EXPECT_EQ(Open(sealed), State::kFailed);
  EXPECT_EQ(plain_, "");
}

class VerifiedTlsStreamTest : public ::testing::TestWithParam<int> {
 protected:
  // Whether a client that shows `identity` may talk to a server that trusts trusted_.
  bool Admits(const Identity* identity) {
    TlsStream stream(*MakeContext({.server_key = server_.key,
                                   .server_cert = server_.cert,
                                   .client_roots = trusted_.cert,
                                   .verify_clients = true}));
    TlsPeer peer({.version = GetParam(), .identity = identity});
    for (std::string up; !(up = peer.TakeOutput()).empty();) {
      std::vector<char> room(TlsStream::kMaxRecord + up.size());
      if (stream.Open(up, room).state != State::kOpen) break;
      peer.Receive(Take(stream.sealed()));
    }
    return stream.established();
  }

  const Identity server_ = MakeIdentity("server");
  const Identity trusted_ = MakeIdentity("trusted");
  const Identity stranger_ = MakeIdentity("stranger");
};
INSTANTIATE_TEST_SUITE_P(Versions, VerifiedTlsStreamTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(VerifiedTlsStreamTest, OnlyClientsWithATrustedCertificateAreAdmitted) {
  EXPECT_TRUE(Admits(&trusted_));
  EXPECT_FALSE(Admits(&stranger_));
  EXPECT_FALSE(Admits(nullptr));
}

}  // namespace
}  // namespace fastserve
