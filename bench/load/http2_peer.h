#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "load/output_queue.h"

namespace fastserve::bench {

// The bytes of one message to send on a stream, handed to nghttp2 by address: it must stay where it
// is until the stream is closed. The bytes themselves go out without a copy when they are large.
struct OutgoingMessage {
  std::string_view bytes;                // what is still to send
  std::shared_ptr<const void> owner;     // keeps the bytes; null when they live for ever
  bool ends_stream = true;               // false: `trailers` follow
  std::span<const nghttp2_nv> trailers;  // must outlive the stream
};

// One HTTP/2 connection over a socket, either end; what the load generator and the echo server
// have in common. Large frames and windows, so that a message of a megabyte never waits for credit.
// Threads: one, its epoll loop's. Register the descriptor edge-triggered for reading and writing.
class Http2Peer {
 public:
  enum class Role { kClient, kServer };

  virtual ~Http2Peer();
  Http2Peer(const Http2Peer&) = delete;
  Http2Peer& operator=(const Http2Peer&) = delete;

  int fd() const { return fd_; }

  // Takes what the socket has, by way of `scratch`, and sends what is due. False when the
  // connection is over: the owner destroys it.
  bool OnReady(uint32_t epoll_events, std::span<char> scratch);
  // Sends what is due; after submitting outside a callback.
  bool Send();

 protected:
  // Takes over `fd`, a connected non-blocking socket.
  Http2Peer(Role role, int fd);

  nghttp2_session* session() const { return session_; }
  // For nghttp2_submit_request() and nghttp2_submit_response().
  static nghttp2_data_provider Provide(OutgoingMessage* message);

  // What the peer did on a stream. `user` is the stream's user data. Submitting is allowed inside.
  virtual void OnBeginHeaders(int32_t stream, void* user) = 0;
  virtual void OnHeader(void* user, std::string_view name, std::string_view value) = 0;
  virtual void OnData(void* user, std::string_view bytes) = 0;
  virtual void OnEndStream(int32_t stream, void* user) = 0;  // the peer's half is complete
  virtual void OnClose(void* user, uint32_t error_code) = 0;

 private:
  friend struct Http2Callbacks;

  int fd_;
  nghttp2_session* session_ = nullptr;
  OutputQueue output_;
};

inline nghttp2_nv HeaderField(std::string_view name, std::string_view value) {
  auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

}  // namespace fastserve::bench
