#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/byte_buffer.h"
#include "transport/net/output_queue.h"
#include "transport/net/tls_context.h"

struct ssl_st;

namespace fastserve {

// The server's side of one TLS connection without its socket: sealed bytes in, plain bytes out, and
// the other way round. Sealed bytes for the peer, those of the handshake included, gather in
// sealed().
// Threads: one at a time.
class TlsStream {
 public:
  // The longest record with its header (RFC 8446, section 5.2): what may be kept of earlier calls.
  static constexpr size_t kMaxRecord = 5 + 16384 + 256;

  enum class State {
    kOpen,
    kEnded,   // the peer has said that it sends no more
    kFailed,  // the peer broke the rules or was refused; an alert may be in sealed()
  };
  struct Opened {
    State state;
    size_t bytes;
  };

  explicit TlsStream(const TlsContext& context);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Takes all of `sealed` and puts the plain bytes at the start of `plain`, which has kMaxRecord
  // bytes of room more than `sealed` and may overlap it, if `sealed` lies at its end.
  Opened Open(ByteView sealed, std::span<char> plain);
  // Moves the first bytes of `plain` to sealed(), until that holds about `limit` bytes. False when
  // the connection is broken. REQUIRES: established()
  bool Seal(OutputQueue& plain, size_t limit);
  // Tells the peer that no more will come.
  void SealEnd();

  // The handshake is over, and HTTP/2 was agreed on.
  bool established() const { return established_; }
  OutputQueue& sealed() { return sealed_; }
  const OutputQueue& sealed() const { return sealed_; }

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  struct Callbacks;  // OpenSSL's, for its way to our queues

  bool SpeaksHttp2() const;

  const std::unique_ptr<ssl_st, Free> ssl_;
  ByteView incoming_;  // what Open() was given and OpenSSL has not read yet
  OutputQueue sealed_;
  bool established_ = false;
};

}  // namespace fastserve
