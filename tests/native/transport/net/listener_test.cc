#include "transport/net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fastserve {
namespace {

constexpr std::chrono::seconds kLong{10};
constexpr std::chrono::milliseconds kNoWait{0};

// A blocking client socket, or none when nobody listens.
UniqueFd Connect(const std::string& text) {
  const Result<SocketAddress> address = ParseAddress(text);
  EXPECT_TRUE(address.ok());
  UniqueFd fd(socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), address->get(), address->length) != 0) fd.reset();
  return fd;
}

std::string LocalName(const UniqueFd& fd) {
  SocketAddress address;
  EXPECT_EQ(getsockname(fd.get(), address.get(), &address.length), 0);
  return PeerName(address);
}

// A listener on a loop that the test turns, and what it has accepted.
struct Accepting {
  explicit Accepting(const std::string& address, const ListenOptions& options = {})
      : loop(*EventLoop::Create()) {
    Result<std::unique_ptr<Listener>> bound = Listener::Bind(address, options);
    EXPECT_TRUE(bound.ok()) << bound.status().ToString();
    listener = std::move(*bound);
    listener->Start(*loop, [this](UniqueFd fd, const SocketAddress& peer) {
      fds.push_back(std::move(fd));
      peers.push_back(PeerName(peer));
    });
  }
  std::string At(const std::string& host) const {
    return host + ":" + std::to_string(listener->port());
  }

  const std::shared_ptr<EventLoop> loop;
  std::unique_ptr<Listener> listener;
  std::vector<UniqueFd> fds;
  std::vector<std::string> peers;
};

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "listener-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

TEST(ListenerTest, AcceptsNonBlockingSocketsAndNamesThePeer) {
  Accepting accepting("127.0.0.1:0");
  EXPECT_GT(accepting.listener->port(), 0);
  const UniqueFd client = Connect(accepting.At("127.0.0.1"));
  ASSERT_TRUE(client);
  accepting.loop->Turn(kLong);
  ASSERT_EQ(accepting.fds.size(), 1u);
  EXPECT_EQ(accepting.peers[0], LocalName(client));
  EXPECT_NE(fcntl(accepting.fds[0].get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepting.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(recv(accepting.fds[0].get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(ListenerTest, AcceptsAFloodOverSeveralTurns) {
  Accepting accepting("127.0.0.1:0");
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(Connect(accepting.At("127.0.0.1")));
  accepting.loop->Turn(kLong);
  EXPECT_LT(accepting.fds.size(), 100u) << "other events would have waited for all of them";
  for (int turn = 0; turn < 10; ++turn) accepting.loop->Turn(kNoWait);
  EXPECT_EQ(accepting.fds.size(), 100u);
}

TEST(ListenerTest, TakenPortIsUnavailableAndNamed) {
  const Accepting first("127.0.0.1:0");
  const std::string address = first.At("127.0.0.1");
  const Result<std::unique_ptr<Listener>> second = Listener::Bind(address);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(), "cannot listen on " + address + ": Address already in use");
}

TEST(ListenerTest, BadAddressIsInvalid) {
  EXPECT_EQ(Listener::Bind("nowhere").status().code(), StatusCode::kInvalidArgument);
}

TEST(ListenerTest, Ipv6WildcardTakesIpv4ClientsUnderTheirIpv4Name) {
  Accepting accepting("[::]:0");
  const UniqueFd ipv4 = Connect(accepting.At("127.0.0.1"));
  ASSERT_TRUE(ipv4);
  const UniqueFd ipv6 = Connect(accepting.At("[::1]"));
  ASSERT_TRUE(ipv6);
  while (accepting.fds.size() < 2) accepting.loop->Turn(kLong);
  EXPECT_EQ(accepting.peers, (std::vector{LocalName(ipv4), LocalName(ipv6)}));
  EXPECT_EQ(accepting.peers[0].substr(0, 15), "ipv4:127.0.0.1:");
}

TEST(ListenerTest, NobodyListensOnceItIsGone) {
  Accepting accepting("127.0.0.1:0");
  const std::string address = accepting.At("127.0.0.1");
  accepting.listener.reset();
  EXPECT_FALSE(Connect(address));
}

TEST(ListenerTest, UnixSocketFileIsThereAsLongAsTheListener) {
  const ScratchFolder folder;
  const std::string path = folder.File("socket");
  {
    Accepting accepting("unix:" + path);
    EXPECT_EQ(accepting.listener->port(), 0);
    const UniqueFd client = Connect("unix:" + path);
    ASSERT_TRUE(client);
    accepting.loop->Turn(kLong);
    EXPECT_EQ(accepting.peers, std::vector<std::string>{"unix:"});
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenerTest, SocketFileLeftOverIsReplaced) {
  const ScratchFolder folder;
  const std::string path = folder.File("socket");
  const Result<SocketAddress> address = ParseAddress("unix:" + path);
  UniqueFd crashed(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(bind(crashed.get(), address->get(), address->length), 0);
  crashed.reset();
  ASSERT_TRUE(std::filesystem::is_socket(path));
  Accepting accepting("unix:" + path);
  EXPECT_TRUE(Connect("unix:" + path));
}

TEST(ListenerTest, SocketThatIsInUseIsLeftAlone) {
  const ScratchFolder folder;
  const std::string address = "unix:" + folder.File("socket");
  Accepting first(address);
  const Status second = Listener::Bind(address).status();
  EXPECT_EQ(second.code(), StatusCode::kUnavailable);
  EXPECT_EQ(second.message(), "cannot listen on " + address + ": another process listens on it");
  EXPECT_TRUE(Connect(address));
}

TEST(ListenerTest, SocketFileOfASuccessorIsNotRemoved) {
  const ScratchFolder folder;
  const std::string path = folder.File("socket");
  Accepting first("unix:" + path);
  std::filesystem::rename(path, folder.File("moved"));
  const Accepting second("unix:" + path);
  first.listener.reset();
  EXPECT_TRUE(Connect("unix:" + path));
}

TEST(ListenerTest, UnixSocketHasThePermissionsAskedFor) {
  const ScratchFolder folder;
  for (const mode_t mode : {0600, 0666, 0770}) {
    const Accepting accepting("unix:" + folder.File("socket"), {.unix_mode = mode});
    struct stat file;
    ASSERT_EQ(stat(folder.File("socket").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, mode);
  }
}

TEST(ListenerTest, PortIsSharedOnlyWhereBothSidesWantThat) {
  const Accepting first("127.0.0.1:0", {.reuse_port = true});
  EXPECT_FALSE(Listener::Bind(first.At("127.0.0.1")).ok());
  EXPECT_TRUE(Listener::Bind(first.At("127.0.0.1"), {.reuse_port = true}).ok());
}

TEST(ListenerTest, FileThatIsNoSocketIsLeftAlone) {
  const ScratchFolder folder;
  const std::string path = folder.File("precious");
  std::ofstream(path) << "text";
  const Status status = Listener::Bind("unix:" + path).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            "cannot listen on unix:" + path + ": the file exists and is no socket");
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
}

// Lets the process open no more file descriptors while it lives.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const UniqueFd lowest_free(dup(STDERR_FILENO));
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(lowest_free.get());
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  ~NoMoreDescriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_;
};

TEST(ListenerTest, RestsWhenOutOfDescriptorsAndAcceptsLater) {
  Accepting accepting("127.0.0.1:0");
  // UBSan needs a descriptor of its own when it sees a type for the first time.
  const UniqueFd before = Connect(accepting.At("127.0.0.1"));
  while (accepting.fds.empty()) accepting.loop->Turn(kLong);
  const UniqueFd client = Connect(accepting.At("127.0.0.1"));
  ASSERT_TRUE(client);
  {
    const NoMoreDescriptors shortage;
    accepting.loop->Turn(kLong);
    EXPECT_EQ(accepting.fds.size(), 1u);
  }
  int turns = 0;
  for (; accepting.fds.size() == 1 && turns < 10; ++turns) accepting.loop->Turn(kLong);
  EXPECT_EQ(accepting.fds.size(), 2u);
  EXPECT_LE(turns, 3) << "it spins while it should rest";
}

}  // namespace
}  // namespace fastserve
