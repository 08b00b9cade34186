#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace fastserve {

// What all connections of a server together may hold.
struct LoadLimits {
  // Native calls from their headers until their answer is handed to HTTP/2; more are refused.
  size_t requests = 100'000;
  // Of requests not yet answered, and of answers that wait for their clients.
  size_t bytes = size_t{4} << 30;
};

// What all connections of a server hold at the moment. Any thread.
class ServerLoad {
 public:
  explicit ServerLoad(const LoadLimits& limits = {}) : limits_(limits) {}

  const LoadLimits& limits() const { return limits_; }
  size_t requests() const { return requests_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class LoadShare;

  const LoadLimits limits_;
  std::atomic<size_t> requests_ = 0;
  std::atomic<size_t> bytes_ = 0;
};

// One connection's share. The others learn of it by Publish(): what comes and goes before that, as
// most calls of cheap models do, writes to no memory that threads share.
// Threads: one at a time.
class LoadShare {
 public:
  explicit LoadShare(ServerLoad& load) : load_(load) {}  // `load` outlives this
  ~LoadShare() {
    requests_ = bytes_ = 0;
    Publish();
  }
  LoadShare(const LoadShare&) = delete;
  LoadShare& operator=(const LoadShare&) = delete;

  void AddRequest() { ++requests_; }
  void DropRequest() { --requests_; }
  void AddBytes(size_t bytes) { bytes_ += bytes; }
  void DropBytes(size_t bytes) { bytes_ -= bytes; }

  void Publish() {
    const size_t requests = requests_ - std::exchange(published_requests_, requests_);
    const size_t bytes = bytes_ - std::exchange(published_bytes_, bytes_);
    // A difference below zero wraps around, and so does the sum.
    if (requests) load_.requests_.fetch_add(requests, std::memory_order_relaxed);
    if (bytes) load_.bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

  const LoadLimits& limits() const { return load_.limits(); }
  // Of the whole server, as far as the others have published.
  size_t all_requests() const { return load_.requests() - published_requests_ + requests_; }
  size_t all_bytes() const { return load_.bytes() - published_bytes_ + bytes_; }

 private:
  ServerLoad& load_;
  size_t requests_ = 0;
  size_t bytes_ = 0;
  size_t published_requests_ = 0;
  size_t published_bytes_ = 0;
};

}  // namespace fastserve
