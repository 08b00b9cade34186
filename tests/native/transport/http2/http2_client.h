#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/http2/frames.h"

namespace fastserve {

// One request of a client, and what has come back.
struct Exchange {
  Fields headers;
  std::string data;
  Fields trailers;
  bool ended = false;                   // by END_STREAM
  std::optional<uint32_t> close_error;  // once closed

  std::string body;      // of the request
  size_t body_sent = 0;  // of `body`
  bool body_ended = false;

  bool closed() const { return close_error.has_value(); }
  // The last field of this name, trailers first; "" when there is none.
  std::string Field(std::string_view name) const {
    for (const Fields* fields : {&trailers, &headers}) {
      for (const auto& [field, value] : *fields) {
        if (field == name) return value;
      }
    }
    return {};
  }
};

struct Http2ClientOptions {
  uint32_t stream_window = 65535;
  uint32_t max_frame_size = 16384;
  bool gives_credit = true;  // else only Credit() does
};

// The client's side of a connection without its socket, on an nghttp2 session of its own.
class Http2Client {
 public:
  explicit Http2Client(const Http2ClientOptions& options = {}) {
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, options.gives_credit ? 0 : 1);
    nghttp2_session_callbacks* callbacks = MakeCallbacks();
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, options.max_frame_size},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  }
  ~Http2Client() { nghttp2_session_del(session_); }
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // Begins a request; its body is what Send() adds. Returns its stream.
  int32_t Request(const Fields& fields) {
    const nghttp2_data_provider body{.source = {}, .read_callback = &ReadBody};
    const std::vector<nghttp2_nv> list = List(fields);
    const int32_t id =
        nghttp2_submit_request(session_, nullptr, list.data(), list.size(), &body, nullptr);
    EXPECT_GT(id, 0);
    exchanges_[id];
    return id;
  }
  void Send(int32_t id, std::string_view bytes, bool end) {
    Exchange& exchange = exchanges_.at(id);
    exchange.body += bytes;
    exchange.body_ended = end;
    nghttp2_session_resume_data(session_, id);
  }
  void Reset(int32_t id, uint32_t error_code) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error_code);
  }
  void Credit(int32_t id, size_t bytes) { nghttp2_session_consume(session_, id, bytes); }
  // How far the connection's peer may run ahead of the client.
  void SetConnectionWindow(int32_t bytes) {
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, bytes);
  }

  // All that is to be sent now.
  std::string TakeOutput() {
    std::string bytes;
    const uint8_t* data = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
      bytes.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
    return bytes;
  }
  bool Receive(std::string_view bytes) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    return nghttp2_session_mem_recv(session_, data, bytes.size()) ==
           static_cast<ssize_t>(bytes.size());
  }

  const Exchange& exchange(int32_t id) const { return exchanges_.at(id); }
  // The last stream named by each GOAWAY, in order.
  const std::vector<int32_t>& goaways() const { return goaways_; }

 private:
  static Http2Client& Self(void* user) { return *static_cast<Http2Client*>(user); }

  static std::vector<nghttp2_nv> List(const Fields& fields) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    return list;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t id, uint8_t* room, size_t size, uint32_t* flags,
                          nghttp2_data_source*, void* user) {
    Exchange& exchange = Self(user).exchanges_.at(id);
    const size_t taken = std::min(size, exchange.body.size() - exchange.body_sent);
    std::memcpy(room, exchange.body.data() + exchange.body_sent, taken);
    exchange.body_sent += taken;
    if (exchange.body_sent == exchange.body.size() && exchange.body_ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (taken == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(taken);
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) {
    Exchange& exchange = Self(user).exchanges_.at(frame->hd.stream_id);
    const bool first = frame->headers.cat == NGHTTP2_HCAT_RESPONSE;
    (first ? exchange.headers : exchange.trailers)
        .emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                      std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user) {
    Self(user).exchanges_.at(id).data.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const nghttp2_frame_hd& head = frame->hd;
    if (head.type == NGHTTP2_GOAWAY) Self(user).goaways_.push_back(frame->goaway.last_stream_id);
    if ((head.type == NGHTTP2_DATA || head.type == NGHTTP2_HEADERS) &&
        (head.flags & NGHTTP2_FLAG_END_STREAM)) {
      Self(user).exchanges_.at(head.stream_id).ended = true;
    }
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Self(user).exchanges_.at(id).close_error = error_code;
    return 0;
  }

  static nghttp2_session_callbacks* MakeCallbacks() {
    nghttp2_session_callbacks* set = nullptr;
    nghttp2_session_callbacks_new(&set);
    nghttp2_session_callbacks_set_on_header_callback(set, &OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(set, &OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(set, &OnFrame);
    nghttp2_session_callbacks_set_on_stream_close_callback(set, &OnClose);
    return set;
  }

  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Exchange> exchanges_;
  std::vector<int32_t> goaways_;
};

}  // namespace fastserve
