#include "transport/net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace fastserve {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr milliseconds kNoWait{0};
// Longer than any turn of these tests takes: a turn that needs so long was not woken.
constexpr seconds kLong{10};

std::shared_ptr<EventLoop> MakeLoop() {
  Result<std::shared_ptr<EventLoop>> loop = EventLoop::Create();
  EXPECT_TRUE(loop.ok());
  return *loop;
}

// Two connected sockets, of which the loop watches one and the test uses the other.
struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    watched = UniqueFd(fds[0]);
    other = UniqueFd(fds[1]);
  }
  void Write() const { EXPECT_EQ(send(other.get(), "x", 1, 0), 1); }

  UniqueFd watched;
  UniqueFd other;
};

struct FunctionWatcher : EventLoop::Watcher {
  explicit FunctionWatcher(std::function<void(uint32_t)> function)
      : on_ready(std::move(function)) {}
  void OnReady(uint32_t events) override { on_ready(events); }
  std::function<void(uint32_t)> on_ready;
};

struct FunctionDeferred : EventLoop::Deferred {
  explicit FunctionDeferred(std::function<void()> function) : on_turn_end(std::move(function)) {}
  void OnTurnEnd() override { on_turn_end(); }
  std::function<void()> on_turn_end;
};

TEST(EventLoopTest, DueTimersRunInTheOrderOfTheirTimesAndThenOfTheirMaking) {
  const auto loop = MakeLoop();
  const auto now = EventLoop::Clock::now();
  std::string order;
  loop->AddTimer(now - nanoseconds(1), [&] { order += 'c'; });
  loop->AddTimer(now - nanoseconds(3), [&] { order += 'a'; });
  loop->AddTimer(now - nanoseconds(2), [&] { order += 'b'; });
  loop->AddTimer(now - nanoseconds(1), [&] { order += 'd'; });
  loop->Turn(kLong);
  EXPECT_EQ(order, "abcd");
}

TEST(EventLoopTest, TimerWakesTheLoopWhenItsTimeHasComeAndNotBefore) {
  const auto loop = MakeLoop();
  const auto when = EventLoop::Clock::now() + milliseconds(3);
  EventLoop::Clock::time_point ran;
  loop->AddTimer(when, [&] { ran = EventLoop::Clock::now(); });
  loop->Turn(kNoWait);
  while (ran == EventLoop::Clock::time_point{}) loop->Turn(kLong);
  EXPECT_GE(ran, when);
  EXPECT_LT(ran, when + kLong);
}

TEST(EventLoopTest, TimerRunsOnce) {
  const auto loop = MakeLoop();
  int runs = 0;
  loop->AddTimer(EventLoop::Clock::now(), [&] { ++runs; });
  loop->Turn(kNoWait);
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 1);
}

TEST(EventLoopTest, CancelledTimerDoesNotRun) {
  const auto loop = MakeLoop();
  const auto now = EventLoop::Clock::now();
  std::string order;
  const auto first = loop->AddTimer(now, [&] { order += 'a'; });
  EventLoop::TimerId third;
  loop->AddTimer(now, [&] {
    order += 'b';
    loop->CancelTimer(third);  // due in this very turn
  });
  third = loop->AddTimer(now, [&] { order += 'c'; });
  loop->CancelTimer(first);
  loop->Turn(kNoWait);
  EXPECT_EQ(order, "b");
}

TEST(EventLoopTest, CancellingNoTimerOrOneThatHasRunDoesNothing) {
  const auto loop = MakeLoop();
  int runs = 0;
  const auto first = loop->AddTimer(EventLoop::Clock::now(), [&] { ++runs; });
  loop->Turn(kNoWait);
  loop->AddTimer(EventLoop::Clock::now(), [&] { ++runs; });
  loop->CancelTimer(first);
  loop->CancelTimer({});
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(first);
  EXPECT_FALSE(EventLoop::TimerId());
}

TEST(EventLoopTest, TimerMayCancelItself) {
  const auto loop = MakeLoop();
  int runs = 0;
  EventLoop::TimerId id;
  id = loop->AddTimer(EventLoop::Clock::now(), [&] {
    loop->CancelTimer(id);
    ++runs;  // the captures are still there
  });
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 1);
}

TEST(EventLoopTest, BurstOfPostsRunsInOneTurnInOrder) {
  const auto loop = MakeLoop();
  std::vector<int> ran;
  for (int i = 0; i < 100; ++i) loop->Post([&ran, i] { ran.push_back(i); });
  loop->Turn(kLong);
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[i], i);
}

TEST(EventLoopTest, WhatATaskPostsRunsInTheNextTurnWhichComesAtOnce) {
  const auto loop = MakeLoop();
  std::string order;
  loop->Post([&] {
    loop->Post([&] { order += 'c'; });
    order += 'a';
  });
  loop->Post([&] { order += 'b'; });
  loop->Turn(kLong);
  EXPECT_EQ(order, "ab");
  loop->Turn(kLong);
  EXPECT_EQ(order, "abc");
}

TEST(EventLoopTest, PostWakesALoopThatWaits) {
  const auto loop = MakeLoop();
  bool ran = false;
  const auto begin = EventLoop::Clock::now();
  std::thread other([&] { loop->Post([&] { ran = true; }); });
  while (!ran) loop->Turn(kLong);
  EXPECT_LT(EventLoop::Clock::now() - begin, kLong);
  other.join();
}

TEST(EventLoopTest, PostsOfManyThreadsAllRunOnTheLoopEachThreadsInItsOrder) {
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  const auto loop = MakeLoop();
  std::array<std::vector<int>, kThreads> ran;  // touched by the loop alone: no lock
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop->Post([&ran, &loop, t, i] {
          EXPECT_TRUE(loop->InLoop());
          ran[t].push_back(i);
        });
      }
    });
  }
  const auto left = [&] {
    size_t count = kThreads * kEach;
    for (const auto& list : ran) count -= list.size();
    return count;
  };
  while (left() > 0) loop->Turn(kLong);
  for (std::thread& poster : posters) poster.join();
  for (const auto& list : ran) {
    for (int i = 0; i < kEach; ++i) ASSERT_EQ(list[i], i);
  }
}

TEST(EventLoopTest, IsInTheLoopOnlyOnTheThreadThatRunsItAndOnlyWhileItRuns) {
  const auto loop = MakeLoop();
  const auto another = MakeLoop();
  EXPECT_FALSE(loop->InLoop());
  bool inside = false;
  bool inside_another = true;
  bool on_another_thread = true;
  loop->Post([&] {
    inside = loop->InLoop();
    inside_another = another->InLoop();
    std::thread([&] { on_another_thread = loop->InLoop(); }).join();
  });
  loop->Turn(kLong);
  EXPECT_TRUE(inside);
  EXPECT_FALSE(inside_another);
  EXPECT_FALSE(on_another_thread);
  // Else a later loop at the same address would take this thread for its own.
  EXPECT_FALSE(loop->InLoop());
}

TEST(EventLoopTest, RunsUntilItIsStopped) {
  const auto loop = MakeLoop();
  int ran = 0;
  std::thread thread([&] { loop->Run(); });
  loop->Post([&] { ++ran; });
  loop->Post([&] { ++ran; });
  loop->Stop();
  thread.join();
  EXPECT_EQ(ran, 2);
}

TEST(EventLoopTest, TasksPostedAfterTheStopAreDestroyedUnrun) {
  const auto loop = MakeLoop();
  bool ran = false;
  const auto token = std::make_shared<int>();
  const auto use_token = [&ran, token] { ran = true; };
  loop->Stop();
  loop->Post([&, use_token] { loop->Post(use_token); });  // reaches the mailbox before it closes
  loop->Run();
  loop->Post(use_token);
  EXPECT_FALSE(ran);
  EXPECT_EQ(token.use_count(), 2);  // ours and that of `use_token`
}

TEST(EventLoopTest, WatcherIsToldForAsLongAsItsDescriptorIsReady) {
  const auto loop = MakeLoop();
  const SocketPair sockets;
  int calls = 0;
  FunctionWatcher watcher([&](uint32_t events) {
    EXPECT_EQ(events, static_cast<uint32_t>(EPOLLIN));
    ++calls;
  });
  loop->Watch(sockets.watched.get(), EPOLLIN, &watcher);
  loop->Turn(kNoWait);
  EXPECT_EQ(calls, 0);
  sockets.Write();
  loop->Turn(kLong);
  loop->Turn(kLong);
  EXPECT_EQ(calls, 2);
  char byte;
  ASSERT_EQ(recv(sockets.watched.get(), &byte, 1, 0), 1);
  loop->Turn(kNoWait);
  EXPECT_EQ(calls, 2);
  loop->Unwatch(sockets.watched.get(), &watcher);
}

TEST(EventLoopTest, RewatchChangesWhatAWatcherIsToldOf) {
  const auto loop = MakeLoop();
  const SocketPair sockets;
  uint32_t told = 0;
  FunctionWatcher watcher([&](uint32_t events) { told = events; });
  loop->Watch(sockets.watched.get(), EPOLLIN, &watcher);
  loop->Rewatch(sockets.watched.get(), EPOLLIN | EPOLLOUT, &watcher);
  loop->Turn(kLong);
  EXPECT_EQ(told, static_cast<uint32_t>(EPOLLOUT));
  told = 0;
  loop->Rewatch(sockets.watched.get(), EPOLLIN, &watcher);
  loop->Turn(kNoWait);
  EXPECT_EQ(told, 0u);
  loop->Unwatch(sockets.watched.get(), &watcher);
}

TEST(EventLoopTest, WatcherIsToldThatThePeerHasHungUp) {
  const auto loop = MakeLoop();
  SocketPair sockets;
  uint32_t told = 0;
  FunctionWatcher watcher([&](uint32_t events) { told = events; });
  loop->Watch(sockets.watched.get(), EPOLLIN, &watcher);
  sockets.other.reset();
  loop->Turn(kLong);
  EXPECT_NE(told & EPOLLHUP, 0u);
  loop->Unwatch(sockets.watched.get(), &watcher);
}

TEST(EventLoopTest, UnwatchedDescriptorIsNotToldEvenOfAnEventOfTheSameTurn) {
  const auto loop = MakeLoop();
  const SocketPair first;
  const SocketPair second;
  int calls = 0;
  std::unique_ptr<FunctionWatcher> watchers[2];
  // Whichever is told first takes both away, and frees the other.
  const auto make = [&](int other) {
    return std::make_unique<FunctionWatcher>([&, other](uint32_t) {
      ++calls;
      loop->Unwatch(first.watched.get(), watchers[0].get());
      loop->Unwatch(second.watched.get(), watchers[1].get());
      watchers[other].reset();
    });
  };
  watchers[0] = make(1);
  watchers[1] = make(0);
  loop->Watch(first.watched.get(), EPOLLIN, watchers[0].get());
  loop->Watch(second.watched.get(), EPOLLIN, watchers[1].get());
  first.Write();
  second.Write();
  loop->Turn(kLong);
  loop->Turn(kNoWait);
  EXPECT_EQ(calls, 1);
}

TEST(EventLoopTest, MoreReadyDescriptorsThanOneTurnTakesAreToldInTheNextTurns) {
  const auto loop = MakeLoop();
  std::vector<SocketPair> sockets(150);
  size_t calls = 0;
  std::vector<std::unique_ptr<FunctionWatcher>> watchers;
  for (const SocketPair& pair : sockets) {
    pair.Write();
    watchers.push_back(std::make_unique<FunctionWatcher>([&, fd = pair.watched.get()](uint32_t) {
      char byte;
      EXPECT_EQ(recv(fd, &byte, 1, 0), 1);
      ++calls;
    }));
    loop->Watch(pair.watched.get(), EPOLLIN, watchers.back().get());
  }
  for (int turn = 0; turn < 10 && calls < sockets.size(); ++turn) loop->Turn(kNoWait);
  EXPECT_EQ(calls, sockets.size());
}

TEST(EventLoopTest, DeferredWorkRunsOnceATurnHoweverOftenItIsDeferred) {
  const auto loop = MakeLoop();
  int runs = 0;
  FunctionDeferred work([&] { ++runs; });
  loop->Defer(&work);
  loop->Defer(&work);
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 1);
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 1);
  loop->Defer(&work);
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 2);
}

TEST(EventLoopTest, WorkDeferredByDeferredWorkRunsInTheNextTurnWhichComesAtOnce) {
  const auto loop = MakeLoop();
  int runs = 0;
  FunctionDeferred work([&] {
    if (++runs < 3) loop->Defer(&work);
  });
  loop->Defer(&work);
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 1);
  const auto begin = EventLoop::Clock::now();
  loop->Turn(kLong);
  loop->Turn(kLong);
  EXPECT_EQ(runs, 3);
  EXPECT_LT(EventLoop::Clock::now() - begin, kLong);
}

TEST(EventLoopTest, ForgottenDeferredWorkDoesNotRun) {
  const auto loop = MakeLoop();
  int runs = 0;
  auto second = std::make_unique<FunctionDeferred>([&] { ++runs; });
  FunctionDeferred first([&] {
    loop->Undefer(second.get());  // while both are being run
    second.reset();
  });
  auto third = std::make_unique<FunctionDeferred>([&] { ++runs; });
  loop->Defer(&first);
  loop->Defer(second.get());
  loop->Defer(third.get());
  loop->Undefer(third.get());
  third.reset();
  loop->Turn(kNoWait);
  EXPECT_EQ(runs, 0);
}

TEST(EventLoopTest, TurnRunsWatchersThenTheMailboxThenTimersThenDeferredWork) {
  const auto loop = MakeLoop();
  const SocketPair sockets;
  std::string order;
  FunctionDeferred work([&] { order += 'd'; });
  FunctionWatcher watcher([&](uint32_t) {
    order += 'w';
    loop->Unwatch(sockets.watched.get(), &watcher);
    loop->Defer(&work);
    loop->AddTimer(EventLoop::Clock::now(), [&] { order += 't'; });
    loop->Post([&] { order += 'p'; });
  });
  loop->Watch(sockets.watched.get(), EPOLLIN, &watcher);
  sockets.Write();
  loop->Turn(kLong);
  EXPECT_EQ(order, "wptd");
}

}  // namespace
}  // namespace fastserve
