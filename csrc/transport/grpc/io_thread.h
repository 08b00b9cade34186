#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "transport/grpc/connection.h"
#include "transport/grpc/connection_gate.h"
#include "transport/grpc/method_table.h"
#include "transport/grpc/server_load.h"
#include "transport/net/event_loop.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// A thread with an event loop and the connections that it was given, for their life.
// Threads: as said at each function; "loop" is the thread's own.
class IoThread {
 public:
  // `methods`, `options`, `load` and `gate` outlive it. The thread has all signals blocked and is
  // named "grpc-io-N".
  static Result<std::unique_ptr<IoThread>> Start(const MethodTable& methods,
                                                 const ConnectionOptions& options, ServerLoad& load,
                                                 ConnectionGate& gate, int number);
  ~IoThread();  // as CutOff()

  // Any. Serves `fd` from now on, in cleartext if `tls` is null. The caller has entered the gate
  // for it; the connection leaves it.
  void Adopt(UniqueFd fd, std::shared_ptr<const TlsContext> tls, std::string peer);
  // Any. Connections given to this thread and not closed yet.
  size_t connections() const { return open_.load(std::memory_order_relaxed); }
  // Any. Asks every client to open no more calls; a connection closes when its last is answered.
  void StartDrain();
  // Any but the loop; once. Closes every connection, joins the thread, and returns how many calls
  // were cut off.
  size_t CutOff();

  EventLoop& loop() { return *loop_; }

  // Loop, for Connection.
  const MethodTable& methods() const { return methods_; }
  const ConnectionOptions& options() const { return options_; }
  ServerLoad& load() const { return load_; }
  // Bytes just read; nothing stays there after Http2Session::Receive().
  std::span<char> read_buffer() { return read_buffer_; }
  void Remove(Connection& connection);

 private:
  IoThread(const MethodTable& methods, const ConnectionOptions& options, ServerLoad& load,
           ConnectionGate& gate, std::shared_ptr<EventLoop> loop);
  void Open(UniqueFd fd, const TlsContext* tls, std::string peer);
  void LookLater();
  void Look();
  void CloseAll();

  const MethodTable& methods_;
  const ConnectionOptions& options_;
  ServerLoad& load_;
  ConnectionGate& gate_;
  const std::shared_ptr<EventLoop> loop_;
  std::atomic<size_t> open_ = 0;
  std::vector<char> read_buffer_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  bool looks_ = false;  // a Look() is due, as long as there are connections
  std::minstd_rand random_{std::random_device{}()};
  size_t cut_off_ = 0;  // written by the loop, read after it was joined
  std::thread thread_;
};

}  // namespace fastserve
