#include <array>
#include <string>
#include <vector>

#include "load/http2_peer.h"
#include "load/load_client.h"

namespace fastserve::bench {
namespace {

constexpr size_t kPrefixSize = 5;

class GrpcClient : public LoadClient, public Http2Peer {
 public:
  GrpcClient(int fd, const LoadContext& context, size_t streams)
      : Http2Peer(Role::kClient, fd),
        context_(context),
        headers_{HeaderField(":method", "POST"),
                 HeaderField(":scheme", "http"),
                 HeaderField(":path", context.request.path),
                 HeaderField(":authority", context.request.authority),
                 HeaderField("content-type", "application/grpc"),
                 HeaderField("te", "trailers"),
                 HeaderField("user-agent", "fastserve-loadgen")},
        calls_(streams) {
    for (Call& call : calls_) idle_.push_back(&call);
  }

  int fd() const override { return Http2Peer::fd(); }
  size_t in_flight() const override { return in_flight_; }

  bool idle() const override { return !idle_.empty(); }
  bool Flush() override { return Send(); }

  bool Begin(const Arrival& arrival) override {
    Call& call = *idle_.back();
    call.http_status.clear();
    call.grpc_status.clear();
    call.grpc_message.clear();
    call.answer.Reset();
    call.request = {context_.request.wire, nullptr, true, {}};
    call.arrival = arrival;
    const nghttp2_data_provider provider = Provide(&call.request);
    const int32_t stream = nghttp2_submit_request(session(), nullptr, headers_.data(),
                                                  headers_.size(), &provider, &call);
    if (stream < 0) {
      context_.tally.Wrong("submit", nghttp2_strerror(stream));
      return false;
    }
    context_.tally.Sent(arrival);
    idle_.pop_back();
    ++in_flight_;
    return true;
  }

  bool OnReady(uint32_t epoll_events, std::span<char> scratch) override {
    return Http2Peer::OnReady(epoll_events, scratch);
  }

 private:
  struct Call {
    Arrival arrival{};
    std::string http_status;
    std::string grpc_status;
    std::string grpc_message;
    OutgoingMessage request;
    AnswerCheck::Answer answer;
  };

  void OnBeginHeaders(int32_t, void*) override {}

  void OnHeader(void* user, std::string_view name, std::string_view value) override {
    Call& call = *static_cast<Call*>(user);
    if (name == ":status") call.http_status = value;
    if (name == "grpc-status") call.grpc_status = value;
    if (name == "grpc-message") call.grpc_message = value;
  }

  void OnData(void* user, std::string_view bytes) override {
    static_cast<Call*>(user)->answer.Append(context_.check, bytes);
  }

  void OnEndStream(int32_t, void*) override {}

  void OnClose(void* user, uint32_t error_code) override {
    Call& call = *static_cast<Call*>(user);
    --in_flight_;
    idle_.push_back(&call);
    Judge(call, error_code, context_.phase.load(std::memory_order_relaxed));
    if (const std::optional<Arrival> next = context_.arrivals.Take()) Begin(*next);
  }

  void Judge(const Call& call, uint32_t error_code, Phase phase) {
    Tally& tally = context_.tally;
    if (error_code != 0) return tally.Wrong("reset " + std::to_string(error_code), "");
    if (call.http_status != "200") return tally.Wrong("http " + call.http_status, "");
    if (call.grpc_status.empty()) return tally.Wrong("no grpc-status", "");
    if (call.grpc_status != "0") {
      return tally.Wrong("grpc-status " + call.grpc_status, call.grpc_message);
    }
    if (!IsOneMessage(call.answer)) return tally.Wrong("framing", call.answer.bytes());
    const auto index = context_.check.Judge(call.answer);
    if (!index) return tally.Wrong("value", call.answer.bytes());
    tally.Right(phase, call.arrival, *index);
  }

  // Whether the prefix announces one uncompressed message of just what has arrived.
  static bool IsOneMessage(const AnswerCheck::Answer& answer) {
    const std::string_view bytes = answer.bytes();
    if (bytes.size() < kPrefixSize || bytes[0] != 0) return false;
    size_t size = 0;
    for (size_t i = 1; i < kPrefixSize; ++i) size = size << 8 | static_cast<uint8_t>(bytes[i]);
    return size == bytes.size() - kPrefixSize;
  }

  const LoadContext context_;
  const std::array<nghttp2_nv, 7> headers_;
  std::vector<Call> calls_;
  std::vector<Call*> idle_;
  size_t in_flight_ = 0;
};

}  // namespace

std::unique_ptr<LoadClient> MakeGrpcClient(int fd, const LoadContext& context, size_t streams) {
  return std::make_unique<GrpcClient>(fd, context, streams);
}

std::string FrameGrpcMessage(const std::string& message) {
  std::string framed(kPrefixSize, '\0');
  for (size_t i = 0; i < 4; ++i) framed[i + 1] = static_cast<char>(message.size() >> (24 - 8 * i));
  return framed + message;
}

}  // namespace fastserve::bench
