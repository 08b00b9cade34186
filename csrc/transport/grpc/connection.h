#pragma once

#include <memory>

#include "transport/grpc/connection_watch.h"
#include "transport/grpc/grpc_session.h"
#include "transport/net/event_loop.h"
#include "transport/net/socket.h"

namespace fastserve {

class IoThread;

// One client's socket and the calls on it.
//   open ──> (drain: no new calls) ──> lingering: all is sent, what still comes is thrown away
//   until the peer has closed too, for otherwise the kernel might take back what it has not read
//   yet. A peer that goes on sending is left unread then, and closed after a second.
// Threads: those of `owner`, which owns it and is asked to remove it.
class Connection : private EventLoop::Watcher,
                   private EventLoop::Deferred,
                   private GrpcSession::Host {
 public:
  // Null `tls`: cleartext. `jitter` as ConnectionWatch takes it.
  Connection(IoThread& owner, UniqueFd fd, const TlsContext* tls,
             std::shared_ptr<const CallOrigin> origin, double jitter);
  ~Connection() override;  // the calls left are done()

  // Asks the peer to open no more streams; closes once the calls in flight are answered.
  void StartDrain();
  // Calls that would be cut off if the connection were closed now. An answer that is not wholly
  // written yet counts, several of them as one.
  size_t calls_in_flight() const;
  // Acts on what has taken too long. May end this object.
  void Look(EventLoop::Clock::time_point now);

 private:
  void OnReady(uint32_t events) override;
  void OnTurnEnd() override;
  void OnOutput() override;

  // False when the connection is broken.
  bool Read();
  void Take(ByteView bytes);
  bool Write();
  bool Flush();
  void Linger();
  void WatchOutput(bool on);
  void Close();  // ends this object
  void SetTimer(std::chrono::milliseconds delay, void (Connection::*task)());
  void OnDrainTimer();

  IoThread& owner_;
  const std::shared_ptr<const CallOrigin> origin_;
  Socket socket_;
  GrpcSession session_;
  ConnectionWatch watch_;
  const size_t least_read_;
  size_t read_size_;          // of the thread's buffer, for the next read
  uint64_t received_ = 0;     // bytes, in total
  uint64_t sent_ = 0;         // bytes, in total
  uint64_t moved_ = 0;        // bytes, either way, until the last look
  EventLoop::TimerId timer_;  // of draining, then of lingering
  int turns_unwritten_ = 0;   // while calls are held back
  bool watching_output_ = false;
  bool draining_ = false;
  bool failed_ = false;  // send what is pending, then close
  bool lingering_ = false;
  int linger_reads_ = 0;
};

}  // namespace fastserve
