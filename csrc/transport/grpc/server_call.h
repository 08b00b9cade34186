#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "transport/grpc/call.h"
#include "transport/grpc/message_reader.h"
#include "transport/grpc/method_table.h"
#include "transport/http2/http2_session.h"
#include "transport/net/event_loop.h"

namespace fastserve {

class GrpcSession;

// Where a connection's calls live, and from where they come.
struct CallOrigin {
  std::shared_ptr<EventLoop> loop;
  std::string peer;  // as Call::peer()
  CallOptions options;
};

// One RPC over one HTTP/2 stream.
//
//   headers ──> receiving ──> [unary: handle() at the half-close] ──> answered ──> closed
//      └── bad headers, bad message, deadline ─────────────────────────┘             │
//   closed from any state: reset by the peer, connection lost, server shut down ─────┘
//
// Threads: the functions of Call from any; the rest on the loop's thread. Two flags keep the sides
//   apart: `ended_` says that somebody has decided the outcome (first come, first served, on any
//   thread), `answered_` that the loop's thread has begun to send it.
// Turns: a native unary call whose peer leaves too much of its answers, or asks for more than its
//   share, is held back, complete, by the session; a streaming handler holds itself back by
//   buffered_bytes().
// Owner: its GrpcSession, until the stream closes; whoever holds a CallPtr.
// Flow control: a native unary call gives credit for bytes as they come. A streaming call gives it
//   at once only while no complete message waits for MessageConsumed(); so a message larger than
//   the window arrives, and a handler that does not keep up stops the sender.
class ServerCall final : public Call,
                         public Http2Stream,
                         public std::enable_shared_from_this<ServerCall> {
 public:
  ServerCall(int32_t stream_id, GrpcSession& session, std::shared_ptr<const CallOrigin> origin);

  std::string_view path() const override;
  const Metadata& metadata() const override { return metadata_; }
  std::string peer() const override { return origin_->peer; }
  std::optional<Clock::time_point> deadline() const override { return deadline_; }
  bool done() const override { return ended_.load(std::memory_order_acquire); }
  void Reply(ByteChain message) override;
  void Finish(Status status, Metadata trailing) override;
  void SendInitialMetadata(Metadata metadata) override;
  void SetCompression(Compression compression) override { compression_ = compression; }
  void SendMessage(ByteChain message, bool compress) override;
  size_t buffered_bytes() const override { return buffered_.load(std::memory_order_acquire); }
  void MessageConsumed(size_t bytes) override;

  void OnHeader(ByteView name, ByteView value) override;
  void OnHeadersEnd() override;
  void OnData(ByteView piece) override;
  std::span<char> Room() override { return answered_ ? std::span<char>() : reader_.Room(); }
  void OnEnd() override;
  void OnClose(uint32_t error_code) override;
  void OnOutputTaken(size_t bytes) override;
  void OnOutputEnd() override;

  // Hands a native call to its method, unless it has ended meanwhile.
  void Run();
  // Ends a native call whose request is still to come, wholly or in part; false for others.
  bool Refuse(Status status);
  // Lets the deadline be watched from now on, unless the call has ended.
  void ArmDeadline();
  // Cuts all ties to the session, which is going or no longer knows the stream.
  void Detach();

  // This call's place in its session's list.
  size_t index = 0;

 private:
  // Runs `apply` on the loop's thread: now if this is it.
  template <class Apply>
  void OnLoop(Apply apply);
  // A message with its prefix, as it goes out.
  struct Framed {
    std::array<char, kMessagePrefix> prefix;
    ByteChain message;
    size_t size() const { return prefix.size() + message.size(); }
  };
  // Any thread. Counts it as buffered.
  Framed Frame(ByteChain message, bool compress);
  Compression AgreedCompression() const;
  Status CheckSize(size_t bytes) const;
  // Takes it upon the caller to end the call, with this outcome; false when that is done already.
  bool Decide(StatusCode code, size_t answer_bytes = 0);
  // Decides the outcome, from the loop's thread, unless that is done.
  void End(Status status, Metadata trailing = {});

  void ApplyEnd(Status status, Metadata trailing);
  void ApplyMessage(Framed message);
  void ApplyInitialMetadata(const Metadata& metadata);
  void ApplyConsumed(size_t bytes);

  void TakePath(ByteView path);
  void TakeTimeout(ByteView text);
  void TakeMetadata(ByteView name, ByteView value);
  void TakeAuthorization(ByteView value);
  Status CheckHeaders();
  Status Authorize();
  void StartStreaming();
  void Deliver(ByteBuffer message);
  void StartResponse(const Metadata& metadata);
  void RespondTrailersOnly();
  void RespondToStranger();
  void GiveCredit(size_t bytes);
  void ReleaseCredit(size_t bytes);
  void CountAnswered();
  void HoldBytes(size_t bytes);
  void ReleaseBytes(size_t bytes);
  void DropRequest();
  void DeliverDone();

  const std::shared_ptr<const CallOrigin> origin_;
  GrpcSession* session_;  // null once the stream is closed
  std::atomic<bool> ended_ = false;
  std::atomic<size_t> buffered_ = 0;  // of streaming calls, prefixes included

  // The request.
  const MethodTable::Entry* method_ = nullptr;  // null when not native
  std::string path_;                            // when not native
  Metadata metadata_;                           // of streaming calls
  std::string authorization_;                   // where there is an authorizer; until it has said
  std::optional<Clock::time_point> deadline_;
  EventLoop::TimerId deadline_timer_;
  Status header_error_;
  ByteView http_status_ = "200";
  std::string accepted_;  // grpc-accept-encoding, where answers may be compressed
  bool is_post_ = false;
  bool is_head_ = false;
  bool is_grpc_ = false;
  MessageReader reader_;
  ByteBuffer request_;     // of unary calls, once complete
  size_t held_bytes_ = 0;  // of the request, as the session counts them
  bool admitted_ = false;  // counted against the server's limits
  bool received_ = false;  // wholly

  // Of streaming calls.
  std::unique_ptr<CallEvents> events_;
  size_t withheld_ = 0;  // bytes received for which the stream has no credit yet
  size_t waiting_ = 0;   // bytes of whole messages that the handler has not consumed

  // The response.
  std::atomic<Compression> compression_;  // as asked for
  bool responding_ = false;               // its headers are submitted
  bool answered_ = false;                 // its end is decided
  bool counted_ = false;                  // its end is submitted, as the session knows
  Status status_;
  Metadata trailing_;
};

}  // namespace fastserve
