#include "transport/http2/http2_session.h"

#include <arpa/inet.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

// DATA frames of ours are at most this long, so that streams take turns on the connection.
constexpr ssize_t kMaxDataFrame = 64 << 10;
// The usual number of fields to send; more cost an allocation.
constexpr size_t kInlineFields = 8;
// A header list that is longer than allowed is read to its end, up to so many times that length:
// the table that both sides keep of header fields depends on all of it.
constexpr size_t kBearableExcess = 256;
// Our PINGs, told apart by their first byte.
constexpr uint8_t kDrainPing[8] = {0};
constexpr uint8_t kAlivePing[8] = {1};

ByteView View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

uint8_t* Bytes(ByteView text) { return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data())); }

// Whether a PRIORITY frame is of no stream, or of one that depends on itself; nghttp2 ignores all
// of them, since we have told the peer that we do. `payload`: as much of it as has come.
bool DependsOnNothingElse(const FrameScanner::Head& head, ByteView payload) {
  if (head.stream_id == 0) return true;
  uint32_t dependency = 0;
  if (payload.size() < sizeof(dependency)) return false;
  std::memcpy(&dependency, payload.data(), sizeof(dependency));
  return static_cast<int32_t>(ntohl(dependency) & INT32_MAX) == head.stream_id;
}

// A piece of a body without bytes that does not end it either.
bool IsEmptyData(const FrameScanner::Head& head) {
  return head.type == NGHTTP2_DATA && head.length == 0 && !(head.flags & NGHTTP2_FLAG_END_STREAM);
}

// Fields in nghttp2's form; borrows from what it was made of.
class FieldArray {
 public:
  explicit FieldArray(std::span<const Http2Field> fields) : size_(fields.size()) {
    if (size_ > kInlineFields) spilled_.resize(size_);
    nghttp2_nv* out = spilled_.empty() ? inline_.data() : spilled_.data();
    data_ = out;
    for (const Http2Field& field : fields) {
      const uint8_t flags = field.repeats ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
      *out++ = {Bytes(field.name), Bytes(field.value), field.name.size(), field.value.size(),
                flags};
    }
  }
  const nghttp2_nv* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const size_t size_;
  const nghttp2_nv* data_;
  std::array<nghttp2_nv, kInlineFields> inline_;
  std::vector<nghttp2_nv> spilled_;
};

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& Self(void* user) { return *static_cast<Http2Session*>(user); }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Self(user).OnBeginHeaders(frame->hd.stream_id,
                                     frame->headers.cat == NGHTTP2_HCAT_REQUEST);
  }

  static int Header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    return Self(user).OnHeader(View(name, name_size), View(value, value_size));
  }

  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_RST_STREAM) Self(user).OnResetSent(frame->hd.stream_id);
    return 0;
  }

  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& self = Self(user);
    const nghttp2_frame_hd& head = frame->hd;
    if (head.type == NGHTTP2_HEADERS) {
      self.OnHeadersEnd(head.stream_id);
    } else if (head.type == NGHTTP2_PING && (head.flags & NGHTTP2_FLAG_ACK)) {
      self.OnPingAck(frame->ping.opaque_data[0]);
    } else if (head.type == NGHTTP2_SETTINGS) {
      self.greeted_ = true;
    }
    const bool may_end = head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_DATA;
    if (may_end && (head.flags & NGHTTP2_FLAG_END_STREAM)) {
      Http2Stream* stream = self.Find(head.stream_id);
      if (stream && !stream->refused_) stream->OnEnd();
    }
    return 0;
  }

  static int DataChunk(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* data,
                       size_t size, void* user) {
    Http2Stream* stream = Self(user).Find(stream_id);
    if (stream && !stream->refused_) {
      stream->OnData(View(data, size));
    } else {
      Self(user).CreditConnection(size);
    }
    return 0;
  }

  static int StreamClose(nghttp2_session*, int32_t stream_id, uint32_t error_code, void* user) {
    Http2Session& self = Self(user);
    Http2Stream* stream = self.Find(stream_id);
    if (stream == nullptr) return 0;
    if (self.reading_headers_ == stream) self.reading_headers_ = nullptr;
    stream->OnClose(error_code);
    return 0;
  }

  // Without this a response whose headers cannot be sent (too long) would never end.
  static int FrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Http2Stream* stream = Self(user).Find(frame->hd.stream_id)) {
      Self(user).Reset(*stream, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  static ssize_t FrameLength(nghttp2_session*, uint8_t, int32_t, int32_t connection_window,
                             int32_t stream_window, uint32_t max_frame_size, void*) {
    const int32_t window = std::min(connection_window, stream_window);
    return std::min<ssize_t>({kMaxDataFrame, window, static_cast<ssize_t>(max_frame_size)});
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t*, size_t room, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    const size_t bytes = std::min(room, stream.output().size());
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (bytes == stream.output().size() && stream.output_ended()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      stream.OnOutputEnd();
    } else if (bytes == 0) {
      stream.waiting_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(bytes);
  }

  static int SendBody(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t bytes,
                      nghttp2_data_source* source, void* user) {
    constexpr size_t kFrameHeader = 9;
    return Self(user).Take(*static_cast<Http2Stream*>(source->ptr), View(head, kFrameHeader),
                           bytes);
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* set = nullptr;
    nghttp2_session_callbacks_new(&set);
    nghttp2_session_callbacks_set_on_begin_headers_callback(set, &BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(set, &Header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(set, &FrameReceived);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(set, &DataChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(set, &StreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(set, &FrameSent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(set, &FrameNotSent);
    nghttp2_session_callbacks_set_data_source_read_length_callback(set, &FrameLength);
    nghttp2_session_callbacks_set_send_data_callback(set, &SendBody);
    return set;
  }
};

Http2Session::Http2Session(Http2Events& events, const Http2Limits& limits)
    : events_(events),
      limits_(limits),
      control_frames_(limits.control_frames),
      pings_(limits.pings) {
  static nghttp2_session_callbacks* const callbacks = Callbacks::Make();
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_stream_reset_rate_limit(options, limits.reset_burst, limits.resets_per_second);
  nghttp2_mem memory = memory_.functions();
  nghttp2_session_server_new3(&session_, callbacks, this, options, &memory);
  nghttp2_option_del(options);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(limits.stream_window)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits.max_frame_size},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.max_header_list_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, limits.connection_window);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

Status Http2Session::Receive(ByteView bytes) {
  size_t fed = 0;
  for (ByteView rest = bytes; const auto head = scanner_.Next(rest);) {
    if (!NeedsCheck(*head)) continue;
    // By then nghttp2 must know all that came before.
    const size_t header_end = bytes.size() - rest.size();
    const size_t before = std::max(header_end, fed + FrameScanner::kHeader) - FrameScanner::kHeader;
    FASTSERVE_RETURN_IF_ERROR(Feed(bytes.substr(fed, before - fed)));
    fed = before;
    Check(*head, rest);
  }
  resets_ = resets_ && scanner_.unfinished();
  return Feed(bytes.substr(fed));
}

std::span<char> Http2Session::Room() const {
  const std::optional<FrameScanner::Head> frame = scanner_.unfinished();
  if (!frame || frame->type != NGHTTP2_DATA || (frame->flags & NGHTTP2_FLAG_PADDED)) return {};
  Http2Stream* stream = Find(frame->stream_id);
  if (stream == nullptr || stream->refused_) return {};
  const std::span<char> room = stream->Room();
  return room.first(std::min(room.size(), frame->length));
}

Status Http2Session::Feed(ByteView bytes) {
  ssize_t taken = 0;
  if (!excess_) {
    taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                                     bytes.size());
  }
  if (excess_) return Status::ResourceExhausted("HTTP/2: the peer asks too much");
  if (taken >= 0) return {};
  return Status::Internal(std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(taken)));
}

bool Http2Session::NeedsCheck(const FrameScanner::Head& head) {
  const int32_t id = head.stream_id;
  switch (head.type) {
    case NGHTTP2_DATA: {
      // The newest one's HEADERS may have come just before, and be unknown to nghttp2 as yet.
      const bool is_known = id < newest_stream_ || id == last_stream_;
      return IsEmptyData(head) || resets_ || (is_known && Find(id) == nullptr);
    }
    case NGHTTP2_HEADERS:
      if (id <= newest_stream_) return resets_ || Find(id) == nullptr;
      newest_stream_ = id;
      return false;
    case NGHTTP2_RST_STREAM:
      resets_ = true;
      return false;
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_WINDOW_UPDATE:
      return false;
    default:
      return true;
  }
}

void Http2Session::Check(const FrameScanner::Head& head, ByteView payload) {
  if (head.type == NGHTTP2_DATA || head.type == NGHTTP2_HEADERS) {
    // nghttp2 forgets closed streams, and would ignore what comes for them.
    if (IsClosed(head.stream_id)) {
      nghttp2_session_terminate_session(session_, NGHTTP2_STREAM_CLOSED);
    }
    if (!IsEmptyData(head)) return;
  }
  if (head.type == NGHTTP2_PRIORITY && DependsOnNothingElse(head, payload)) {
    nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
  }
  const auto now = TokenBucket::Clock::now();
  if (!control_frames_.Take(now)) EndForExcess("too many control frames");
  // gRPC's clients know this text, and ask less often from then on.
  if (head.type == NGHTTP2_PING && !pings_.Take(now)) EndForExcess("too_many_pings");
}

bool Http2Session::Pull(size_t limit) {
  pull_limit_ = limit;
  while (output_.size() < limit) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) return false;
    if (size == 0) break;
    output_.Append(View(data, static_cast<size_t>(size)));
  }
  return true;
}

bool Http2Session::finished() const {
  return !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_);
}

Http2Stream* Http2Session::Find(int32_t stream_id) const {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

int Http2Session::OnBeginHeaders(int32_t stream_id, bool request) {
  reading_headers_ = nullptr;
  header_list_bytes_ = 0;
  if (!request) return 0;
  last_stream_ = stream_id;
  reading_headers_ = events_.OnStream(stream_id);
  return nghttp2_session_set_stream_user_data(session_, stream_id, reading_headers_);
}

int Http2Session::OnHeader(ByteView name, ByteView value) {
  constexpr size_t kFieldOverhead = 32;  // RFC 9113, section 6.5.2
  header_list_bytes_ += name.size() + value.size() + kFieldOverhead;
  if (header_list_bytes_ > limits_.max_header_list_bytes) {
    if (header_list_bytes_ / kBearableExcess <= limits_.max_header_list_bytes) return 0;
    EndForExcess("too many headers");
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  if (reading_headers_) reading_headers_->OnHeader(name, value);
  return 0;
}

// Closed, that is, by both sides, or by the peer: it must not go on (RFC 9113, section 5.1).
bool Http2Session::IsClosed(int32_t stream_id) const {
  if (stream_id > last_stream_ || stream_id <= forgiven_ || stream_id % 2 == 0) return false;
  return Find(stream_id) == nullptr && !reset_.contains(stream_id);
}

void Http2Session::OnResetSent(int32_t stream_id) {
  constexpr size_t kRemembered = 1024;
  reset_.insert(stream_id);
  if (reset_.size() <= kRemembered) return;
  forgiven_ = *std::max_element(reset_.begin(), reset_.end());
  reset_.clear();
}

void Http2Session::EndForExcess(ByteView what) {
  if (std::exchange(excess_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM, Bytes(what), what.size());
}

void Http2Session::OnHeadersEnd(int32_t stream_id) {
  if (reading_headers_ == nullptr || reading_headers_->id() != stream_id) return;
  Http2Stream& stream = *std::exchange(reading_headers_, nullptr);
  if (header_list_bytes_ > limits_.max_header_list_bytes) {
    stream.refused_ = true;
    Reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
  } else {
    stream.OnHeadersEnd();
  }
}

int Http2Session::Take(Http2Stream& stream, ByteView frame_header, size_t bytes) {
  if (output_.size() >= pull_limit_) return NGHTTP2_ERR_WOULDBLOCK;
  output_.Append(frame_header);
  stream.output().MoveTo(output_, bytes);
  control_frames_.Refill();
  pings_.Refill();
  stream.OnOutputTaken(bytes);
  return 0;
}

void Http2Session::Respond(Http2Stream& stream, std::span<const Http2Field> fields, bool end) {
  if (!end) TakeTurns(stream);
  const FieldArray array(fields);
  nghttp2_data_provider body{.source = {.ptr = &stream}, .read_callback = &Callbacks::ReadBody};
  nghttp2_submit_response(session_, stream.id(), array.data(), array.size(), end ? nullptr : &body);
}

// Without this nghttp2 sends the whole of one body before the next (RFC 9218, section 10).
void Http2Session::TakeTurns(Http2Stream& stream) {
  nghttp2_extpri priority{.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
  nghttp2_session_change_extpri_stream_priority(session_, stream.id(), &priority, 0);
}

void Http2Session::SendTrailers(Http2Stream& stream, std::span<const Http2Field> fields) {
  const FieldArray array(fields);
  nghttp2_submit_trailer(session_, stream.id(), array.data(), array.size());
}

void Http2Session::Resume(Http2Stream& stream) {
  if (std::exchange(stream.waiting_, false)) nghttp2_session_resume_data(session_, stream.id());
}

void Http2Session::Reset(Http2Stream& stream, uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id(), error_code);
}

void Http2Session::CreditConnection(size_t bytes) {
  nghttp2_session_consume_connection(session_, bytes);
}

void Http2Session::CreditStream(Http2Stream& stream, size_t bytes) {
  nghttp2_session_consume_stream(session_, stream.id(), bytes);
}

void Http2Session::StartDrain() {
  draining_ = true;
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing);
}

void Http2Session::Ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kAlivePing); }

void Http2Session::OnPingAck(uint8_t first_byte) {
  if (draining_ && first_byte == kDrainPing[0]) FinishDrain();
}

void Http2Session::FinishDrain() {
  if (std::exchange(drained_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

}  // namespace fastserve
