#include "transport/grpc/connection_watch.h"

#include <gtest/gtest.h>

namespace fastserve {
namespace {

using std::chrono::milliseconds;
using Action = ConnectionWatch::Action;
using View = ConnectionWatch::View;

constexpr uint64_t kProgress = ConnectionWatch::kLeastProgress;

// Limits of which none applies but those that a test sets.
ConnectionLimits Lax() {
  const auto never = ConnectionLimits::kNever;
  return {never, never, never, never, never, never, never, never};
}

// A connection under watch, and a clock that the test moves.
struct Watched {
  explicit Watched(const ConnectionLimits& limits, double jitter = 0) : watch(limits, {}, jitter) {}
  Action At(int ms) {
    return watch.Look(ConnectionWatch::Clock::time_point(milliseconds(ms)), view);
  }

  ConnectionWatch watch;
  View view{.established = true, .greeted = true};
};

TEST(ConnectionWatchTest, NothingHappensToAnOrdinaryConnectionForAYear) {
  Watched watched(Lax());
  EXPECT_EQ(watched.At(0), Action::kNone);
  EXPECT_EQ(watched.watch.Look(ConnectionWatch::Clock::time_point(std::chrono::hours(24 * 365)),
                               watched.view),
            Action::kNone);
}

TEST(ConnectionWatchTest, HandshakeMayTakeItsTimeAndThenTheFirstFrame) {
  ConnectionLimits limits = Lax();
  limits.handshake_timeout = milliseconds(100);
  limits.first_byte_timeout = milliseconds(200);
  Watched slow(limits);
  slow.view = {};
  EXPECT_EQ(slow.At(99), Action::kNone);
  EXPECT_EQ(slow.At(100), Action::kClose);
  Watched silent(limits);
  silent.view = {.established = true};
  EXPECT_EQ(silent.At(50), Action::kNone);
  EXPECT_EQ(silent.At(249), Action::kNone);
  EXPECT_EQ(silent.At(250), Action::kClose);
  Watched quick(limits);
  EXPECT_EQ(quick.At(1000), Action::kNone);
}

TEST(ConnectionWatchTest, PeerThatTakesTooLittleOfItsOutputIsDropped) {
  ConnectionLimits limits = Lax();
  limits.stall_timeout = milliseconds(100);
  Watched deaf(limits);
  deaf.view.output_waits = true;
  EXPECT_EQ(deaf.At(0), Action::kNone);
  deaf.view.sent += kProgress - 1;
  EXPECT_EQ(deaf.At(99), Action::kNone);
  EXPECT_EQ(deaf.At(100), Action::kClose);
  Watched slow(limits);
  slow.view.output_waits = true;
  for (int ms = 0; ms < 1000; ms += 90) {
    EXPECT_EQ(slow.At(ms), Action::kNone);
    slow.view.sent += kProgress;
  }
}

TEST(ConnectionWatchTest, OutputThatDoesNotWaitIsNoStall) {
  ConnectionLimits limits = Lax();
  limits.stall_timeout = milliseconds(100);
  Watched idle(limits);
  EXPECT_EQ(idle.At(1000), Action::kNone);
  idle.view.output_waits = true;
  EXPECT_EQ(idle.At(1099), Action::kNone);
  idle.view.output_waits = false;
  EXPECT_EQ(idle.At(1199), Action::kNone);
}

// Acknowledgements of PINGs and the like go out in spite of a window of zero.
TEST(ConnectionWatchTest, OnlyAnswersAreProgressWhereFlowControlHoldsThemBack) {
  ConnectionLimits limits = Lax();
  limits.stall_timeout = milliseconds(100);
  Watched zero_window(limits);
  zero_window.view.bodies_wait = true;
  EXPECT_EQ(zero_window.At(0), Action::kNone);
  zero_window.view.sent += 10 * kProgress;
  EXPECT_EQ(zero_window.At(100), Action::kClose);
  Watched slow(limits);
  slow.view.bodies_wait = true;
  for (int ms = 0; ms < 1000; ms += 90) {
    EXPECT_EQ(slow.At(ms), Action::kNone);
    slow.view.bodies_taken += kProgress;
  }
}

TEST(ConnectionWatchTest, SilentPeerIsPingedAndLosesTheConnectionIfItDoesNotAnswer) {
  ConnectionLimits limits = Lax();
  limits.keepalive_time = milliseconds(100);
  limits.keepalive_timeout = milliseconds(50);
  Watched dead(limits);
  EXPECT_EQ(dead.At(99), Action::kNone);
  EXPECT_EQ(dead.At(100), Action::kPing);
  EXPECT_EQ(dead.At(149), Action::kNone);
  EXPECT_EQ(dead.At(150), Action::kClose);
  Watched alive(limits);
  EXPECT_EQ(alive.At(100), Action::kPing);
  alive.view.received += 17;
  EXPECT_EQ(alive.At(149), Action::kNone);
  EXPECT_EQ(alive.At(248), Action::kNone);
  EXPECT_EQ(alive.At(249), Action::kPing);
}

TEST(ConnectionWatchTest, ConnectionWithoutACallIsDrainedAndCallsInBetweenCount) {
  ConnectionLimits limits = Lax();
  limits.max_idle = milliseconds(100);
  Watched watched(limits);
  watched.view.calls = 1;
  watched.view.calls_begun = 1;
  EXPECT_EQ(watched.At(1000), Action::kNone);
  watched.view.calls = 0;
  EXPECT_EQ(watched.At(1099), Action::kNone);
  watched.view.calls_begun = 2;  // begun and ended since the last look
  EXPECT_EQ(watched.At(1198), Action::kNone);
  EXPECT_EQ(watched.At(1298), Action::kDrain);
  EXPECT_EQ(watched.At(1299), Action::kNone);
}

TEST(ConnectionWatchTest, OldConnectionIsDrainedAndClosedAfterTheGrace) {
  ConnectionLimits limits = Lax();
  limits.max_age = milliseconds(1000);
  limits.max_age_grace = milliseconds(50);
  Watched watched(limits);
  watched.view.calls = 1;
  EXPECT_EQ(watched.At(999), Action::kNone);
  EXPECT_EQ(watched.At(1000), Action::kDrain);
  EXPECT_EQ(watched.At(1049), Action::kNone);
  EXPECT_EQ(watched.At(1050), Action::kClose);
}

TEST(ConnectionWatchTest, JitterMovesAgeAndIdleTime) {
  ConnectionLimits limits = Lax();
  limits.max_age = milliseconds(1000);
  Watched older(limits, 0.1);
  EXPECT_EQ(older.At(1099), Action::kNone);
  EXPECT_EQ(older.At(1100), Action::kDrain);
  limits.max_idle = milliseconds(500);
  Watched younger(limits, -0.1);
  EXPECT_EQ(younger.At(449), Action::kNone);
  EXPECT_EQ(younger.At(450), Action::kDrain);
}

TEST(ConnectionWatchTest, LooksAreFrequentEnoughForTheShortestLimit) {
  EXPECT_EQ(ConnectionWatch::Period(Lax()), milliseconds(1000));
  EXPECT_EQ(ConnectionWatch::Period({}), milliseconds(1000));
  ConnectionLimits limits;
  limits.keepalive_timeout = milliseconds(400);
  EXPECT_EQ(ConnectionWatch::Period(limits), milliseconds(100));
  limits.stall_timeout = milliseconds(1);
  EXPECT_EQ(ConnectionWatch::Period(limits), milliseconds(5));
}

}  // namespace
}  // namespace fastserve
