#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/http2/frame_scanner.h"
#include "transport/http2/session_memory.h"
#include "transport/http2/token_bucket.h"
#include "transport/net/output_queue.h"

struct nghttp2_session;

namespace fastserve {

// What a peer may ask of one connection, and how far it may run ahead of us.
struct Http2Limits {
  // Streams at once; a peer that opens more is refused those (it may try them again). One that has
  // acknowledged the limit and still does so loses the connection.
  uint32_t max_concurrent_streams = 4096;
  // Request bytes under way before we give credit: per stream, and for all of a connection.
  int32_t stream_window = 8 << 20;
  int32_t connection_window = 64 << 20;
  // The largest DATA frame that a peer may send.
  uint32_t max_frame_size = 1 << 20;
  // Names, values and 32 for each field, of one request's headers. A longer list resets the stream,
  // one of many times that length ends the connection.
  uint32_t max_header_list_bytes = 64 << 10;
  // Resets by the peer beyond this burst and this rate end the connection ("rapid reset").
  uint64_t reset_burst = 10'000;
  uint64_t resets_per_second = 1'000;
  // Likewise frames that make work but carry nothing: PING, SETTINGS, PRIORITY, empty DATA and
  // unknown types; and, counted apart, PING alone. With every frame of an answer that we send, a
  // whole burst is allowed again: some clients measure the network with a PING an answer.
  Rate control_frames{.burst = 1'000, .per_second = 100};
  Rate pings;
};

// A header field to send. Bytes are copied.
struct Http2Field {
  ByteView name;  // lower case
  ByteView value;
  // False for values that hardly repeat: they then leave the peer's header table alone.
  bool repeats = true;
};

// One request and its response. A subclass is told what the peer does, and puts the response's body
// into output().
// Owner: the Http2Events that made it; it lives until OnClose() or the session's end.
class Http2Stream {
 public:
  explicit Http2Stream(int32_t id) : id_(id) {}
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;
  virtual ~Http2Stream() = default;

  int32_t id() const { return id_; }

  // In this order: OnHeader() for each field, OnHeadersEnd(), OnData() for each piece, OnEnd() when
  // the peer has sent its last. OnClose() may come at any time and is the last event.
  virtual void OnHeader(ByteView name, ByteView value) = 0;
  virtual void OnHeadersEnd() = 0;
  // The receiver gives back flow-control credit for `piece`: Http2Session::Credit*().
  virtual void OnData(ByteView piece) = 0;
  // Where the next bytes of a body are to go in the end, if that is known. Who brings them may put
  // them there: OnData() gets a piece of that very place then.
  virtual std::span<char> Room() { return {}; }
  virtual void OnEnd() = 0;
  // `error_code` is that of RFC 9113, section 7; 0 after a complete exchange.
  virtual void OnClose(uint32_t error_code) = 0;

  // `bytes` of output() have moved to the connection.
  virtual void OnOutputTaken(size_t bytes) = 0;
  // EndOutput() was called and all output is taken: the place to call SendTrailers().
  virtual void OnOutputEnd() = 0;

  // The body still to be sent. After putting something in: Http2Session::Resume().
  OutputQueue& output() { return output_; }
  // No more will be put into output(). Then: Http2Session::Resume().
  void EndOutput() { output_ended_ = true; }
  bool output_ended() const { return output_ended_; }

 private:
  friend class Http2Session;

  const int32_t id_;
  bool refused_ = false;  // by the session: only OnClose() follows
  bool waiting_ = false;  // output() was found empty: tell nghttp2 when it is no longer
  bool output_ended_ = false;
  OutputQueue output_;
};

// What a connection as a whole is told.
class Http2Events {
 public:
  virtual ~Http2Events() = default;
  // A request begins. Never null.
  virtual Http2Stream* OnStream(int32_t id) = 0;
};

// The server's side of one HTTP/2 connection without its socket: bytes in, events out, bytes to
// send. Framing, header compression, stream states and flow control are nghttp2's.
// Threads: one at a time. Every function but Receive() and Pull() may be called inside an event.
// Flow control, inwards: each piece uses up the stream's and the connection's window; credit is
//   given back with Credit*(), and goes out as WINDOW_UPDATE when half a window has gathered.
// Flow control, outwards: a stream's output() is taken as far as the peer's windows allow, and only
//   while less than Pull()'s limit waits for the socket. The rest stays in output().
class Http2Session {
 public:
  Http2Session(Http2Events& events, const Http2Limits& limits);  // `events` outlives this
  ~Http2Session();  // no events; the streams still open are simply forgotten
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Takes what the socket has brought. Not OK when the peer does not speak HTTP/2 or asks too much:
  // send what is pending, then close.
  Status Receive(ByteView bytes);
  // Where the socket may put the next bytes that it brings, which saves a copy of a large body;
  // they are handed to Receive() all the same. Valid until the next call of anything here.
  std::span<char> Room() const;
  // Frames that the peer has sent, the last one maybe in part.
  uint64_t frames() const { return scanner_.frames(); }
  // The peer has sent its SETTINGS, which are its first frame.
  bool greeted() const { return greeted_; }
  // Moves frames to output() until that holds `limit` bytes (or one frame more). False when the
  // session has failed: close.
  bool Pull(size_t limit);
  // Bytes for the socket, which takes them out.
  OutputQueue& output() { return output_; }
  const OutputQueue& output() const { return output_; }
  // True when nothing is to be received or sent any more: close.
  bool finished() const;

  // Answers with `fields` and then the stream's output(), or with `fields` alone when `end`.
  void Respond(Http2Stream& stream, std::span<const Http2Field> fields, bool end);
  // Ends the response. REQUIRES: inside the stream's OnOutputEnd().
  void SendTrailers(Http2Stream& stream, std::span<const Http2Field> fields);
  // There is something new in output(), or its end.
  void Resume(Http2Stream& stream);
  void Reset(Http2Stream& stream, uint32_t error_code);

  void CreditConnection(size_t bytes);
  void CreditStream(Http2Stream& stream, size_t bytes);

  // Asks the peer to open no more streams: GOAWAY without a last stream, and a PING. When the
  // PING's answer shows that the peer has read it, the final GOAWAY goes out; streams up to then
  // are served. FinishDrain() sends the final GOAWAY at once.
  void StartDrain();
  void FinishDrain();
  // The final GOAWAY is on its way or gone.
  bool drained() const { return drained_; }
  // Makes the peer answer.
  void Ping();

 private:
  struct Callbacks;  // nghttp2's, each forwarding to one of the functions below

  int OnBeginHeaders(int32_t stream_id, bool request);
  int OnHeader(ByteView name, ByteView value);
  void OnHeadersEnd(int32_t stream_id);
  Status Feed(ByteView bytes);
  // Whether a frame needs a look before nghttp2 gets it: it makes work, or its stream may be
  // closed.
  bool NeedsCheck(const FrameScanner::Head& head);
  void Check(const FrameScanner::Head& head, ByteView payload);
  bool IsClosed(int32_t stream_id) const;
  void OnResetSent(int32_t stream_id);
  void OnPingAck(uint8_t first_byte);
  void EndForExcess(ByteView what);
  Http2Stream* Find(int32_t stream_id) const;
  void TakeTurns(Http2Stream& stream);
  int Take(Http2Stream& stream, ByteView frame_header, size_t bytes);

  Http2Events& events_;
  const Http2Limits limits_;
  SessionMemory memory_;
  nghttp2_session* session_ = nullptr;
  OutputQueue output_;
  size_t pull_limit_ = 0;
  Http2Stream* reading_headers_ = nullptr;  // null also for a request's trailers
  size_t header_list_bytes_ = 0;            // of the list being read
  FrameScanner scanner_;
  int32_t newest_stream_ = 0;  // that the scanner has seen
  bool resets_ = false;        // the scanner has seen the peer reset streams, nghttp2 maybe not
  TokenBucket control_frames_;
  TokenBucket pings_;
  int32_t last_stream_ = 0;  // that the peer has opened
  // Streams that we have reset, and of which more may be on its way; all up to forgiven_ count as
  // such when they become too many to remember.
  std::unordered_set<int32_t> reset_;
  int32_t forgiven_ = 0;
  bool greeted_ = false;
  bool excess_ = false;  // the peer has asked too much and is told so
  bool draining_ = false;
  bool drained_ = false;
};

}  // namespace fastserve
