#include "load/http2_peer.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "load/flags.h"

namespace fastserve::bench {
namespace {

constexpr uint32_t kMaxFrameSize = 1 << 20;
constexpr uint32_t kStreamWindow = 16 << 20;
constexpr uint32_t kConnectionWindow = 1 << 30;
constexpr uint32_t kMaxStreams = 4096;
// Output gathered before a write: enough to fill a socket buffer, little enough to stay in cache.
constexpr size_t kOutputGoal = 1 << 20;

}  // namespace

// nghttp2's C callbacks: each casts and forwards.
struct Http2Callbacks {
  static Http2Peer* Peer(void* user_data) { return static_cast<Http2Peer*>(user_data); }
  static void* User(nghttp2_session* session, int32_t stream) {
    return nghttp2_session_get_stream_user_data(session, stream);
  }

  static int BeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* peer) {
    Peer(peer)->OnBeginHeaders(frame->hd.stream_id, User(session, frame->hd.stream_id));
    return 0;
  }
  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* peer) {
    Peer(peer)->OnHeader(User(session, frame->hd.stream_id),
                         {reinterpret_cast<const char*>(name), name_size},
                         {reinterpret_cast<const char*>(value), value_size});
    return 0;
  }
  static int DataChunk(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* data,
                       size_t size, void* peer) {
    Peer(peer)->OnData(User(session, stream), {reinterpret_cast<const char*>(data), size});
    return 0;
  }
  static int FrameReceived(nghttp2_session* session, const nghttp2_frame* frame, void* peer) {
    const bool carries_stream = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (carries_stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
      Peer(peer)->OnEndStream(frame->hd.stream_id, User(session, frame->hd.stream_id));
    }
    return 0;
  }
  static int StreamClosed(nghttp2_session* session, int32_t stream, uint32_t error, void* peer) {
    Peer(peer)->OnClose(User(session, stream), error);
    return 0;
  }

  static ssize_t Send(nghttp2_session*, const uint8_t* data, size_t size, int, void* peer) {
    OutputQueue& output = Peer(peer)->output_;
    if (output.size() >= kOutputGoal) return NGHTTP2_ERR_WOULDBLOCK;
    output.Copy({reinterpret_cast<const char*>(data), size});
    return static_cast<ssize_t>(size);
  }
  static ssize_t FrameLength(nghttp2_session*, uint8_t, int32_t, int32_t session_window,
                             int32_t stream_window, uint32_t max_frame_size, void*) {
    return std::min({session_window, stream_window, static_cast<int32_t>(max_frame_size)});
  }
  // Reserves the next piece of the message for SendData(), which follows at once.
  static ssize_t ReadMessage(nghttp2_session* session, int32_t stream, uint8_t*, size_t limit,
                             uint32_t* flags, nghttp2_data_source* source, void*) {
    auto* message = static_cast<OutgoingMessage*>(source->ptr);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (limit >= message->bytes.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!message->ends_stream) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream, message->trailers.data(), message->trailers.size());
      }
    }
    return static_cast<ssize_t>(std::min(limit, message->bytes.size()));
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_header, size_t size,
                      nghttp2_data_source* source, void* peer) {
    OutputQueue& output = Peer(peer)->output_;
    if (output.size() >= kOutputGoal) return NGHTTP2_ERR_WOULDBLOCK;
    auto* message = static_cast<OutgoingMessage*>(source->ptr);
    output.Copy({reinterpret_cast<const char*>(frame_header), 9});
    output.Add(message->bytes.substr(0, size), message->owner);
    message->bytes.remove_prefix(size);
    return 0;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* callbacks = nullptr;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) Die("nghttp2: out of memory");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, Header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, DataChunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, FrameReceived);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, StreamClosed);
    nghttp2_session_callbacks_set_send_callback(callbacks, Send);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, FrameLength);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
    return callbacks;
  }
  static const nghttp2_option* Options() {
    nghttp2_option* options = nullptr;
    if (nghttp2_option_new(&options) != 0) Die("nghttp2: out of memory");
    nghttp2_option_set_no_closed_streams(options, 1);
    return options;
  }
};

Http2Peer::Http2Peer(Role role, int fd) : fd_(fd) {
  static nghttp2_session_callbacks* const callbacks = Http2Callbacks::Make();
  static const nghttp2_option* const options = Http2Callbacks::Options();
  const auto create =
      role == Role::kClient ? nghttp2_session_client_new2 : nghttp2_session_server_new2;
  if (create(&session_, callbacks, this, options) != 0) Die("nghttp2: out of memory");

  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kMaxFrameSize},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  // A server may not send ENABLE_PUSH.
  const size_t count = std::size(settings) - (role == Role::kServer ? 1 : 0);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Http2Peer::~Http2Peer() {
  nghttp2_session_del(session_);
  close(fd_);
}

nghttp2_data_provider Http2Peer::Provide(OutgoingMessage* message) {
  return {.source = {.ptr = message}, .read_callback = Http2Callbacks::ReadMessage};
}

bool Http2Peer::OnReady(uint32_t epoll_events, std::span<char> scratch) {
  // Edge-triggered: a short read has emptied the socket, unless its end is near.
  const bool ending = epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
  while (true) {
    const ssize_t size = recv(fd_, scratch.data(), scratch.size(), 0);
    if (size == 0) return false;
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      return false;
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(scratch.data());
    if (nghttp2_session_mem_recv(session_, bytes, static_cast<size_t>(size)) < 0) return false;
    if (static_cast<size_t>(size) < scratch.size() && !ending) break;
  }
  return Send();
}

bool Http2Peer::Send() {
  while (true) {
    if (!output_.Flush(fd_)) return false;
    if (!output_.empty()) return true;  // the next edge goes on
    if (nghttp2_session_send(session_) != 0) return false;
    if (output_.empty()) {
      return nghttp2_session_want_read(session_) || nghttp2_session_want_write(session_);
    }
  }
}

}  // namespace fastserve::bench
