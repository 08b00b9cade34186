#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace fastserve {

// How long a connection's peer may take, and how long a connection may last; kNever: for ever.
struct ConnectionLimits {
  using Duration = std::chrono::milliseconds;
  static constexpr Duration kNever = Duration::max();

  // From the connection's begin to the end of TLS's handshake.
  Duration handshake_timeout{10'000};
  // From there to HTTP/2's first frame.
  Duration first_byte_timeout{20'000};
  // Output waits that long for a peer that takes less than ConnectionWatch::kLeastProgress of it.
  Duration stall_timeout{60'000};
  // After so long a silence the peer is sent a PING, and has so long to show that it lives.
  Duration keepalive_time{2 * 3600 * 1000};
  Duration keepalive_timeout{20'000};
  // Without a call for so long, or after so long in any case (both with a jitter, so that clients
  // do not come back all at once), the peer is asked to open no more calls.
  Duration max_idle = kNever;
  Duration max_age = kNever;
  // How long its calls may go on after that.
  Duration max_age_grace = kNever;
};

// Tells when a connection needs a PING, a drain or an end, by looks at it from time to time: the
// connection itself only counts, which costs nothing on its hot path.
class ConnectionWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // A peer that takes this much within the stall timeout is slow, not stalled.
  static constexpr uint64_t kLeastProgress = 16 << 10;

  enum class Action { kNone, kPing, kDrain, kClose };

  // A connection at one moment. Counts are totals since its begin.
  struct View {
    bool established;       // TLS's handshake, if there is one, is over
    bool greeted;           // HTTP/2 has begun
    size_t calls;           // in flight
    uint64_t calls_begun;   //
    uint64_t received;      // bytes from the socket
    uint64_t sent;          // bytes to the socket
    uint64_t bodies_taken;  // bytes of answers that flow control let go
    bool bodies_wait;       // bytes of answers wait for flow control, or
    bool output_waits;      // bytes wait for the socket
  };

  // `jitter` is the part by which age and idle time are longer (or, below zero, shorter).
  ConnectionWatch(const ConnectionLimits& limits, Clock::time_point opened, double jitter);

  // What to do now. kDrain comes once.
  Action Look(Clock::time_point now, const View& view);

  // How often to look, so that every limit is kept within a quarter of itself or a second.
  static ConnectionLimits::Duration Period(const ConnectionLimits& limits);

 private:
  bool Begins(Clock::time_point now, const View& view);
  bool Stalls(Clock::time_point now, const View& view);
  Action KeepAlive(Clock::time_point now, const View& view);
  bool IsOver(Clock::time_point now, const View& view);

  const ConnectionLimits limits_;
  const Clock::time_point opened_;
  std::optional<Clock::time_point> established_;
  Clock::time_point progress_;  // of output
  uint64_t sent_ = 0;           // at that time
  uint64_t bodies_taken_ = 0;   // at that time
  Clock::time_point heard_;     // the peer's last sign of life
  uint64_t received_ = 0;       // by then
  std::optional<Clock::time_point> pinged_;
  Clock::time_point busy_;  // the last time with a call
  uint64_t calls_begun_ = 0;
  std::optional<Clock::time_point> drained_;
};

}  // namespace fastserve
