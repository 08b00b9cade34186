// One gRPC call: whatever its headers and its DATA, no crash, and an answer that a client can read;
// the same answer however the bytes are cut on their way, and an echo's message is the request's.
// An input is two bytes, lines "name: value", an empty line, and the DATA. The first byte says how
// many bytes come at a time (0: all), the low bits of the second how answers are compressed, and
// its high bit that the client cancels instead of ending the request.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "transport/grpc/bring.h"
#include "transport/grpc/compression.h"
#include "transport/grpc/grpc_session.h"
#include "transport/grpc/wire_text.h"
#include "transport/http2/http2_client.h"

namespace fastserve {
namespace {

constexpr size_t kMaxMessage = 64 << 10;
constexpr uint32_t kCancel = 8;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Any offset, from what is at hand.
size_t PayloadOffset(ByteView head, size_t message_size) {
  return head.empty() ? 0 : static_cast<uint8_t>(head[0]) % (message_size + 1);
}

ByteChain Chain(ByteView bytes) {
  ByteChain chain;
  chain.Append(bytes);
  return chain;
}

// A streaming handler that sends back what it gets.
class EchoStream : public CallEvents {
 public:
  EchoStream(CallPtr call, std::string& sent) : call_(std::move(call)), sent_(sent) {
    Metadata echoed;
    for (const auto& [key, value] : call_->metadata()) {
      if (CheckMetadata({{key, value}}).ok()) echoed.emplace_back(key, value);
    }
    if (!echoed.empty()) call_->SendInitialMetadata(std::move(echoed));
  }
  void OnMessage(ByteBuffer message) override {
    sent_ += message.view();
    call_->SendMessage(Chain(message.view()));
    call_->MessageConsumed(message.size());
  }
  void OnHalfClose() override { call_->Finish({}); }
  void OnDrained() override {}
  void OnDone() override { call_.reset(); }

 private:
  CallPtr call_;
  std::string& sent_;
};

// A server with an echo of each kind, and a client.
class EchoConnection : public GrpcSession::Host {
 public:
  EchoConnection(EventLoop& loop, std::shared_ptr<const CallOrigin> origin, size_t portion)
      : loop_(loop), portion_(portion) {
    methods_.methods["/s/Echo"] = {.handle =
                                       [this](const CallPtr& call, const ByteBuffer& request) {
                                         sent_ = request.view();
                                         call->Reply(Chain(sent_));
                                       },
                                   .payload_offset = &PayloadOffset};
    methods_.fallback = [this](CallPtr call) -> std::unique_ptr<CallEvents> {
      if (call->path() != "/s/Stream") return nullptr;
      return std::make_unique<EchoStream>(std::move(call), sent_);
    };
    session_ =
        std::make_unique<GrpcSession>(*this, methods_, Http2Limits{}, load_, std::move(origin));
  }
  ~EchoConnection() override {
    InLoop([this] { session_.reset(); });
  }

  const Exchange& Call(const Fields& fields, ByteView data, bool cancels) {
    const int32_t id = client_.Request(fields);
    client_.Send(id, data, !cancels);
    Carry();
    if (cancels) client_.Reset(id, kCancel);
    Carry();
    return client_.exchange(id);
  }
  // The texts of the messages that the echo sent back.
  const std::string& sent() const { return sent_; }

 private:
  void OnOutput() override {}

  void InLoop(const std::function<void()>& task) {
    loop_.Post(task);
    loop_.Turn(std::chrono::milliseconds(0));
  }
  void Carry() {
    for (bool moved = true; moved;) {
      const std::string up = client_.TakeOutput();
      std::string down;
      InLoop([&] {
        for (ByteView rest = up; !rest.empty();) {
          Require(Bring(*session_, rest.substr(0, portion_)).ok());
          rest.remove_prefix(std::min(portion_, rest.size()));
        }
        down = TakeOutput();
      });
      Require(client_.Receive(down));
      moved = !up.empty() || !down.empty();
    }
  }
  std::string TakeOutput() {
    std::string bytes;
    OutputQueue& output = session_->http2().output();
    while (session_->http2().Pull(1 << 20) && !output.empty()) {
      std::array<iovec, 1> front;
      output.Gather(front);
      bytes.append(static_cast<const char*>(front[0].iov_base), front[0].iov_len);
      output.Consume(front[0].iov_len);
    }
    return bytes;
  }

  EventLoop& loop_;
  const size_t portion_;
  ServerLoad load_;
  MethodTable methods_;
  std::string sent_;
  std::unique_ptr<GrpcSession> session_;
  Http2Client client_{{.stream_window = 1 << 20}};
};

struct Input {
  Fields fields;
  ByteView data;
};

// Fields of HTTP/2 that the text does not name are those of a gRPC call.
Input ParseInput(ByteView text) {
  Input input;
  Fields& fields = input.fields;
  fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/s/Echo"}, {":authority", "x"}};
  const size_t own = fields.size();
  while (!text.empty()) {
    const ByteView line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty()) break;
    const size_t colon = line.find(": ", 1);
    const ByteView name = line.substr(0, colon);
    const ByteView value = colon == line.npos ? ByteView() : line.substr(colon + 2);
    const auto fixed = std::find_if(fields.begin(), fields.begin() + own,
                                    [&](const auto& field) { return field.first == name; });
    if (fixed != fields.begin() + own) {
      fixed->second = value;
    } else {
      fields.emplace_back(name, value);
    }
  }
  input.data = text;
  return input;
}

void CheckText(const std::string& value) {
  constexpr auto kMost = std::chrono::hours(24 * 365 * 30);
  if (const auto timeout = ParseTimeout(value)) {
    Require(timeout->count() >= 0 && *timeout <= kMost);
  }
  if (const auto bytes = Base64Decode(value)) {
    Require(Base64Decode(Base64Encode(*bytes)) == bytes);
  }
  for (const char c : PercentEncode(value)) Require(c >= 0x20 && c <= 0x7e);
}

// The texts of an answer's messages, decompressed; an answer that succeeds has whole ones.
std::string Texts(const Exchange& exchange) {
  constexpr size_t kPrefix = 5;
  std::string texts;
  ByteView data = exchange.data;
  while (!data.empty()) {
    Require(data.size() >= kPrefix);
    const size_t size = FromBigEndian(data.substr(1, 4));
    const ByteView message = data.substr(kPrefix, size);
    Require(message.size() == size);
    if (data[0] == 0) {
      texts += message;
    } else {
      const auto encoding = ParseCompression(exchange.Field("grpc-encoding"));
      Require(data[0] == 1 && encoding);
      const auto plain = Decompress(*encoding, message, kMaxMessage);
      Require(plain.ok());
      texts += *plain;
    }
    data.remove_prefix(kPrefix + size);
  }
  return texts;
}

void CheckAnswer(const Exchange& exchange, const std::string& sent) {
  Require(exchange.closed());
  if (exchange.close_error != 0u || exchange.Field(":status") != "200") return;
  const std::string status = exchange.Field("grpc-status");
  Require(!status.empty() && (exchange.data.empty() || !exchange.headers.empty()));
  if (status == "0") Require(Texts(exchange) == sent);
}

bool Same(const Exchange& a, const Exchange& b) {
  // Whether a deadline passes in between is a matter of time.
  for (const Exchange* each : {&a, &b}) {
    if (each->Field("grpc-status") == "4") return true;
  }
  return a.headers == b.headers && a.data == b.data && a.trailers == b.trailers &&
         a.close_error == b.close_error;
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace fastserve;
  static const std::shared_ptr<EventLoop> loop = *EventLoop::Create();
  if (size < 2) return 0;
  const Input input = ParseInput({reinterpret_cast<const char*>(bytes) + 2, size - 2});
  for (const auto& [name, value] : input.fields) CheckText(value);
  const CallOptions options{.max_message_bytes = kMaxMessage,
                            .compression = static_cast<Compression>(bytes[1] % 3)};
  const auto origin = std::make_shared<const CallOrigin>(CallOrigin{loop, "unix:", options});
  const bool cancels = bytes[1] & 0x80;
  EchoConnection whole(*loop, origin, SIZE_MAX);
  const Exchange& answer = whole.Call(input.fields, input.data, cancels);
  CheckAnswer(answer, whole.sent());
  if (cancels) return 0;  // how far the answer comes before is a matter of pieces
  EchoConnection pieces(*loop, origin, bytes[0] ? bytes[0] : SIZE_MAX);
  Require(Same(answer, pieces.Call(input.fields, input.data, cancels)));
  return 0;
}
