#include "transport/grpc/connection_watch.h"

#include <algorithm>

namespace fastserve {
namespace {

using Duration = ConnectionLimits::Duration;

// In the limits' own unit: kNever does not fit into a finer one.
bool Elapsed(ConnectionWatch::Clock::time_point from, ConnectionWatch::Clock::time_point to,
             Duration limit) {
  return std::chrono::duration_cast<Duration>(to - from) >= limit;
}

Duration Stretched(Duration limit, double jitter) {
  if (limit == ConnectionLimits::kNever) return limit;
  return std::chrono::duration_cast<Duration>(limit * (1 + jitter));
}

ConnectionLimits Jittered(ConnectionLimits limits, double jitter) {
  limits.max_age = Stretched(limits.max_age, jitter);
  limits.max_idle = Stretched(limits.max_idle, jitter);
  return limits;
}

}  // namespace

ConnectionWatch::ConnectionWatch(const ConnectionLimits& limits, Clock::time_point opened,
                                 double jitter)
    : limits_(Jittered(limits, jitter)),
      opened_(opened),
      progress_(opened),
      heard_(opened),
      busy_(opened) {}

ConnectionWatch::Action ConnectionWatch::Look(Clock::time_point now, const View& view) {
  if (!Begins(now, view) || Stalls(now, view)) return Action::kClose;
  if (drained_) {
    const bool over = Elapsed(*drained_, now, limits_.max_age_grace);
    return over ? Action::kClose : KeepAlive(now, view);
  }
  if (IsOver(now, view)) {
    drained_ = now;
    return Action::kDrain;
  }
  return KeepAlive(now, view);
}

// False when that takes too long.
bool ConnectionWatch::Begins(Clock::time_point now, const View& view) {
  if (view.greeted) return true;
  if (view.established && !established_) established_ = now;
  return established_ ? !Elapsed(*established_, now, limits_.first_byte_timeout)
                      : !Elapsed(opened_, now, limits_.handshake_timeout);
}

bool ConnectionWatch::Stalls(Clock::time_point now, const View& view) {
  // Where flow control holds answers back, bytes of other kinds are no progress.
  const uint64_t moved = view.bodies_wait ? view.bodies_taken - bodies_taken_ : view.sent - sent_;
  if ((!view.bodies_wait && !view.output_waits) || moved >= kLeastProgress) {
    progress_ = now;
    sent_ = view.sent;
    bodies_taken_ = view.bodies_taken;
  }
  return Elapsed(progress_, now, limits_.stall_timeout);
}

ConnectionWatch::Action ConnectionWatch::KeepAlive(Clock::time_point now, const View& view) {
  if (view.received != received_) {
    received_ = view.received;
    heard_ = now;
    pinged_.reset();
  }
  if (pinged_) {
    return Elapsed(*pinged_, now, limits_.keepalive_timeout) ? Action::kClose : Action::kNone;
  }
  if (!Elapsed(heard_, now, limits_.keepalive_time)) return Action::kNone;
  pinged_ = now;
  return Action::kPing;
}

bool ConnectionWatch::IsOver(Clock::time_point now, const View& view) {
  if (view.calls > 0 || view.calls_begun != calls_begun_) {
    calls_begun_ = view.calls_begun;
    busy_ = now;
  }
  return Elapsed(busy_, now, limits_.max_idle) || Elapsed(opened_, now, limits_.max_age);
}

Duration ConnectionWatch::Period(const ConnectionLimits& limits) {
  const Duration shortest =
      std::min({limits.handshake_timeout, limits.first_byte_timeout, limits.stall_timeout,
                limits.keepalive_time, limits.keepalive_timeout, limits.max_idle, limits.max_age,
                limits.max_age_grace});
  return std::clamp(shortest / 4, Duration(5), Duration(1000));
}

}  // namespace fastserve
