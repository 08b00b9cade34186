#include "transport/net/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>

namespace fastserve {
namespace {

struct ConnectedSockets {
  ConnectedSockets() {
    std::array<int, 2> fds;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    ours = std::make_unique<Socket>(UniqueFd(fds[0]));
    peer = std::make_unique<Socket>(UniqueFd(fds[1]));
  }
  std::unique_ptr<Socket> ours;
  std::unique_ptr<Socket> peer;
};

std::string ReceiveAll(Socket& socket) {
  std::string bytes;
  std::array<char, 10'000> room;
  for (;;) {
    const Socket::Received received = socket.Receive(room);
    if (received.state != Socket::State::kOpen) return bytes;
    bytes.append(room.data(), received.bytes);
  }
}

TEST(SocketTest, ReceivesAsMuchAsThereIsRoomForAndThenIsBlocked) {
  ConnectedSockets sockets;
  std::array<char, 4> room;
  EXPECT_EQ(sockets.ours->Receive(room).state, Socket::State::kBlocked);
  OutputQueue queue;
  queue.Append("123456");
  EXPECT_EQ(sockets.peer->Send(queue), Socket::State::kOpen);
  EXPECT_TRUE(queue.empty());
  const Socket::Received first = sockets.ours->Receive(room);
  EXPECT_EQ(first.state, Socket::State::kOpen);
  EXPECT_EQ(ByteView(room.data(), first.bytes), "1234");
  const Socket::Received second = sockets.ours->Receive(room);
  EXPECT_EQ(ByteView(room.data(), second.bytes), "56");
  EXPECT_EQ(sockets.ours->Receive(room).state, Socket::State::kBlocked);
}

TEST(SocketTest, FillsThePlaceFirstAndThenTheRoom) {
  ConnectedSockets sockets;
  std::array<char, 4> place, room;
  for (const std::string text : {"12345", "6"}) {
    OutputQueue queue;
    queue.Append(text);
    EXPECT_EQ(sockets.peer->Send(queue), Socket::State::kOpen);
    const Socket::Received received = sockets.ours->Receive(room, place);
    EXPECT_EQ(received.state, Socket::State::kOpen);
    EXPECT_EQ(std::string(place.data(), received.placed) + std::string(room.data(), received.bytes),
              text);
    EXPECT_EQ(received.placed, std::min(text.size(), place.size()));
  }
}

TEST(SocketTest, ReceivesTheEndOfThePeer) {
  ConnectedSockets sockets;
  sockets.peer.reset();
  std::array<char, 4> room;
  EXPECT_EQ(sockets.ours->Receive(room).state, Socket::State::kEnded);
}

TEST(SocketTest, KernelThatTakesOnlyAPartLeavesTheRestInTheQueue) {
  ConnectedSockets sockets;
  const auto large = std::make_shared<const std::string>(8 << 20, 'x');
  OutputQueue queue;
  queue.Append("head");
  queue.Borrow(*large, large);
  queue.Append("tail");
  const size_t all = queue.size();
  std::string received;
  int blocked = 0;
  while (!queue.empty()) {
    const size_t before = queue.size();
    const Socket::State state = sockets.ours->Send(queue);
    ASSERT_NE(state, Socket::State::kEnded);
    if (state == Socket::State::kBlocked) ++blocked;
    ASSERT_EQ(all - queue.size(), received.size() + (before - queue.size()));
    received += ReceiveAll(*sockets.peer);
  }
  EXPECT_GT(blocked, 0);
  EXPECT_EQ(received, "head" + *large + "tail");
}

TEST(SocketTest, FullKernelIsBlockedAndTakesNothing) {
  ConnectedSockets sockets;
  OutputQueue queue;
  const auto large = std::make_shared<const std::string>(8 << 20, 'x');
  queue.Borrow(*large, large);
  while (sockets.ours->Send(queue) != Socket::State::kBlocked) {
  }
  sockets.ours->Send(queue);
  const size_t left = queue.size();
  EXPECT_GT(left, 0u);
  EXPECT_EQ(sockets.ours->Send(queue), Socket::State::kBlocked);
  EXPECT_EQ(queue.size(), left);
}

TEST(SocketTest, MorePiecesThanOneCallTakesNeedSeveral) {
  ConnectedSockets sockets;
  OutputQueue queue;
  std::string expected;
  const auto piece = std::make_shared<const std::string>(ByteChain::kBorrowThreshold, 'p');
  for (int i = 0; i < 150; ++i) {
    queue.Append("h");
    queue.Borrow(*piece, piece);
    expected += "h" + *piece;
  }
  std::string received;
  while (!queue.empty()) {
    ASSERT_NE(sockets.ours->Send(queue), Socket::State::kEnded);
    received += ReceiveAll(*sockets.peer);
  }
  EXPECT_EQ(received, expected);
}

TEST(SocketTest, SendingToAPeerThatHasGoneIsAnEndAndNoSignal) {
  ConnectedSockets sockets;
  sockets.peer.reset();
  OutputQueue queue;
  queue.Append("lost");
  EXPECT_EQ(sockets.ours->Send(queue), Socket::State::kEnded);
}

TEST(SocketTest, PeerMaySendAfterWeHaveFinished) {
  ConnectedSockets sockets;
  sockets.ours->FinishSending();
  std::array<char, 8> room;
  EXPECT_EQ(sockets.peer->Receive(room).state, Socket::State::kEnded);
  OutputQueue queue;
  queue.Append("late");
  EXPECT_EQ(sockets.peer->Send(queue), Socket::State::kOpen);
  EXPECT_EQ(ReceiveAll(*sockets.ours), "late");
}

TEST(SocketTest, SmallTcpSegmentsGoOutAtOnce) {
  const Socket tcp(UniqueFd(socket(AF_INET, SOCK_STREAM, 0)));
  int on = 0;
  socklen_t size = sizeof(on);
  ASSERT_EQ(getsockopt(tcp.fd(), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
  EXPECT_NE(on, 0);
}

TEST(UniqueFdTest, ClosesWhatItOwnsUnlessReleased) {
  std::array<int, 2> fds;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data()), 0);
  UniqueFd first(fds[0]);
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_TRUE(second);
  const UniqueFd peer(fds[1]);
  second.reset();
  EXPECT_FALSE(second);
  char byte;
  EXPECT_EQ(recv(peer.get(), &byte, 1, 0), 0);
  UniqueFd third(dup(peer.get()));
  const UniqueFd fourth(third.release());
  EXPECT_FALSE(third);
  EXPECT_EQ(recv(fourth.get(), &byte, 1, 0), 0);
}

}  // namespace
}  // namespace fastserve
