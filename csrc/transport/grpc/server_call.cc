#include "transport/grpc/server_call.h"

#include <array>
#include <deque>
#include <utility>
#include <vector>

#include "transport/grpc/grpc_session.h"
#include "transport/grpc/wire_text.h"

namespace fastserve {
namespace {

constexpr Http2Field kStatusOk = {":status", "200"};
constexpr Http2Field kContentType = {"content-type", "application/grpc"};
constexpr Http2Field kGrpcStatusOk = {"grpc-status", "0"};
constexpr Http2Field kAcceptEncoding = {"grpc-accept-encoding", kAcceptedEncodings};

std::array<char, kMessagePrefix> PrefixOf(size_t size, bool compressed) {
  return {static_cast<char>(compressed), static_cast<char>(size >> 24),
          static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size)};
}

// Fields with the strings that they show.
class FieldList {
 public:
  void Add(const Http2Field& field) { fields_.push_back(field); }
  void Add(const Metadata& metadata) {
    for (const auto& [key, value] : metadata) {
      AddCopy(key, IsBinaryKey(key) ? Base64Encode(value) : value);
    }
  }
  void Add(const Status& status) {
    AddCopy("grpc-status", std::to_string(static_cast<int>(status.code())), true);
    if (status.message().empty()) return;
    std::string cut;
    AddCopy("grpc-message", PercentEncode(CutStatusMessage(status.message(), cut)));
  }
  std::span<const Http2Field> span() const { return fields_; }

 private:
  void AddCopy(const std::string& name, std::string value, bool repeats = false) {
    const std::string& kept_name = strings_.emplace_back(name);
    const std::string& kept_value = strings_.emplace_back(std::move(value));
    fields_.push_back({kept_name, kept_value, repeats});
  }

  std::vector<Http2Field> fields_;
  std::deque<std::string> strings_;  // never moves its elements
};

}  // namespace

ServerCall::ServerCall(int32_t stream_id, GrpcSession& session,
                       std::shared_ptr<const CallOrigin> origin)
    : Http2Stream(stream_id),
      origin_(std::move(origin)),
      session_(&session),
      reader_(origin_->options.max_message_bytes),
      compression_(origin_->options.compression) {}

std::string_view ServerCall::path() const { return method_ ? method_->first : path_; }

template <class Apply>
void ServerCall::OnLoop(Apply apply) {
  if (origin_->loop->InLoop()) {
    apply(*this);
  } else {
    origin_->loop->Post(
        [self = shared_from_this(), apply = std::move(apply)]() mutable { apply(*self); });
  }
}

bool ServerCall::Decide(StatusCode code, size_t answer_bytes) {
  if (ended_.exchange(true)) return false;
  record().End(code, answer_bytes);
  return true;
}

void ServerCall::Reply(ByteChain message) {
  if (Status status = CheckSize(message.size()); !status.ok()) return Finish(std::move(status), {});
  if (!Decide(StatusCode::kOk, message.size())) return;
  OnLoop([framed = Frame(std::move(message), true)](ServerCall& self) mutable {
    self.ApplyMessage(std::move(framed));
    self.ApplyEnd({}, {});
  });
}

void ServerCall::Finish(Status status, Metadata trailing) {
  if (!Decide(status.code())) return;
  OnLoop([status = std::move(status), trailing = std::move(trailing)](ServerCall& self) mutable {
    self.ApplyEnd(std::move(status), std::move(trailing));
  });
}

void ServerCall::End(Status status, Metadata trailing) {
  if (Decide(status.code())) ApplyEnd(std::move(status), std::move(trailing));
}

void ServerCall::SendInitialMetadata(Metadata metadata) {
  if (done()) return;
  OnLoop(
      [metadata = std::move(metadata)](ServerCall& self) { self.ApplyInitialMetadata(metadata); });
}

void ServerCall::SendMessage(ByteChain message, bool compress) {
  if (done()) return;
  if (Status status = CheckSize(message.size()); !status.ok()) return Finish(std::move(status), {});
  OnLoop([framed = Frame(std::move(message), compress)](ServerCall& self) mutable {
    self.ApplyMessage(std::move(framed));
  });
}

Status ServerCall::CheckSize(size_t bytes) const {
  const size_t limit = origin_->options.max_sent_message_bytes;
  if (bytes <= limit) return {};
  return Status::ResourceExhausted("Sent message larger than max (" + std::to_string(bytes) +
                                   " vs. " + std::to_string(limit) + ")");
}

Compression ServerCall::AgreedCompression() const {
  const Compression asked = compression_.load(std::memory_order_relaxed);
  if (asked == Compression::kIdentity || !AcceptsCompression(accepted_, asked)) {
    return Compression::kIdentity;
  }
  return asked;
}

ServerCall::Framed ServerCall::Frame(ByteChain message, bool compress) {
  const Compression agreed = AgreedCompression();
  std::optional<ByteChain> packed;
  if (compress && agreed != Compression::kIdentity) packed = Compress(agreed, message);
  const bool is_packed = packed.has_value();
  if (is_packed) message = std::move(*packed);
  const auto prefix = PrefixOf(message.size(), is_packed);
  if (method_ == nullptr) buffered_.fetch_add(prefix.size() + message.size());
  return {prefix, std::move(message)};
}

void ServerCall::MessageConsumed(size_t bytes) {
  OnLoop([bytes](ServerCall& self) { self.ApplyConsumed(bytes); });
}

void ServerCall::OnHeader(ByteView name, ByteView value) {
  if (name == ":path") {
    TakePath(value);
  } else if (name == ":method") {
    is_post_ = value == "POST";
    is_head_ = value == "HEAD";
  } else if (name == "content-type") {
    is_grpc_ = IsGrpcContentType(value);
  } else if (name == "grpc-timeout") {
    TakeTimeout(value);
  } else if (name == "grpc-encoding") {
    reader_.set_encoding(value);
  } else if (name == "grpc-accept-encoding") {
    // A handler in C++ asks for nothing that the options do not.
    if (method_ == nullptr || compression_ != Compression::kIdentity) accepted_ = value;
  } else if (name == "authorization" && session_->methods().authorizer) {
    TakeAuthorization(value);
  } else if (method_ == nullptr) {
    if (IsCustomKey(name)) TakeMetadata(name, value);
  } else if (name == "traceparent") {
    record().TraceContext(value);
  }
}

void ServerCall::TakePath(ByteView path) {
  method_ = session_->methods().Find(path);
  if (method_ == nullptr) {
    path_ = path;
  } else {
    record().Start(Protocol::kGrpc, origin_->peer);
  }
}

void ServerCall::TakeTimeout(ByteView text) {
  const auto timeout = ParseTimeout(text);
  if (timeout) {
    deadline_ = Clock::now() + *timeout;
  } else {
    header_error_ = Status::Internal("malformed grpc-timeout \"" + std::string(text) + "\"");
  }
}

void ServerCall::TakeMetadata(ByteView name, ByteView value) {
  if (!IsBinaryKey(name)) {
    metadata_.emplace_back(name, value);
    return;
  }
  // Several values of one key may have been joined with commas on their way.
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    std::optional<std::string> bytes = Base64Decode(value.substr(begin, end - begin));
    if (!bytes) {
      header_error_ =
          Status::Internal("illegal base64 in the metadata value of \"" + std::string(name) + "\"");
      return;
    }
    metadata_.emplace_back(name, std::move(*bytes));
    begin = end + 1;
  }
}

void ServerCall::TakeAuthorization(ByteView value) {
  if (!authorization_.empty()) authorization_ += ", ";
  authorization_ += value;
}

void ServerCall::OnHeadersEnd() {
  if (Status status = CheckHeaders(); !status.ok()) return End(std::move(status));
  if (method_) {
    if (Status status = session_->Admit(); !status.ok()) return End(std::move(status));
    admitted_ = true;
    reader_.set_payload_offset(method_->second.payload_offset);
  } else {
    StartStreaming();
  }
  if (deadline_ && !done()) session_->WatchDeadline(shared_from_this());
}

Status ServerCall::CheckHeaders() {
  if (!is_post_) {
    http_status_ = "405";
    return Status::Internal("a gRPC request's method is POST");
  }
  if (!is_grpc_) {
    http_status_ = "415";
    return Status::Unknown("a gRPC request's content-type is application/grpc");
  }
  return header_error_.ok() ? Authorize() : header_error_;
}

Status ServerCall::Authorize() {
  const Authorizer& authorizer = session_->methods().authorizer;
  if (!authorizer) return {};
  Status status = authorizer(path(), std::exchange(authorization_, {}));
  // Refusals are counted and logged, whoever would have answered.
  if (!status.ok() && method_ == nullptr) record().Start(Protocol::kGrpc, origin_->peer);
  return status;
}

void ServerCall::StartStreaming() {
  if (const FallbackHandler& fallback = session_->methods().fallback) {
    events_ = fallback(shared_from_this());
  }
  if (events_ == nullptr) End({StatusCode::kUnimplemented, ""});
}

void ServerCall::OnData(ByteView piece) {
  GiveCredit(piece.size());
  if (!answered_) HoldBytes(piece.size());
  while (!answered_) {
    Result<std::optional<ByteBuffer>> message = reader_.Next(piece);
    if (!message.ok()) return End(message.status());
    if (!message->has_value()) break;
    Deliver(std::move(**message));
  }
  if (waiting_ == 0) ReleaseCredit(withheld_);
}

void ServerCall::Deliver(ByteBuffer message) {
  if (events_) {
    waiting_ += kMessagePrefix + message.size();
    events_->OnMessage(std::move(message));
  } else if (!request_) {
    request_ = std::move(message);
    // It may be longer than what has come of it, which was compressed.
    if (request_.size() > held_bytes_) HoldBytes(request_.size() - held_bytes_);
  } else {
    End(Status::Internal("a unary request has more than one message"));
  }
}

void ServerCall::OnEnd() {
  received_ = true;
  if (answered_) return;
  if (reader_.mid_message()) {
    End(Status::Internal("the request ended in the middle of a message"));
  } else if (events_) {
    events_->OnHalfClose();
  } else if (!request_) {
    End(Status::Internal("a unary request has no message"));
  } else {
    session_->Begin(shared_from_this(), record().Received(request_.size()));
  }
}

void ServerCall::Run() {
  if (answered_ || session_ == nullptr) return;
  method_->second.handle(shared_from_this(), std::move(request_));
}

bool ServerCall::Refuse(Status status) {
  if (method_ == nullptr || received_ || answered_) return false;
  End(std::move(status));
  return true;
}

void ServerCall::GiveCredit(size_t bytes) {
  session_->CreditConnection(bytes);
  if (events_ && !answered_) {
    withheld_ += bytes;
  } else {
    session_->http2().CreditStream(*this, bytes);
  }
}

void ServerCall::HoldBytes(size_t bytes) {
  held_bytes_ += bytes;
  session_->OnRequestHeld(bytes);
}

void ServerCall::ReleaseBytes(size_t bytes) {
  const size_t released = std::min(bytes, held_bytes_);
  held_bytes_ -= released;
  session_->OnRequestDropped(released);
}

void ServerCall::ReleaseCredit(size_t bytes) {
  const size_t released = std::min(bytes, withheld_);
  if (released == 0) return;
  withheld_ -= released;
  session_->http2().CreditStream(*this, released);
}

void ServerCall::ApplyConsumed(size_t bytes) {
  if (session_ == nullptr) return;
  const size_t consumed = kMessagePrefix + bytes;
  waiting_ -= std::min(waiting_, consumed);
  ReleaseBytes(consumed);
  ReleaseCredit(waiting_ == 0 ? withheld_ : consumed);
  session_->WantOutput();
}

void ServerCall::ApplyMessage(Framed framed) {
  const size_t size = framed.size();
  if (session_ == nullptr || answered_) {
    if (method_ == nullptr) buffered_.fetch_sub(size);
    return;
  }
  output().Append({framed.prefix.data(), framed.prefix.size()}, std::move(framed.message));
  session_->OnBytesWait(size);
  if (responding_) {
    session_->http2().Resume(*this);
  } else {
    StartResponse({});
  }
  session_->WantOutput();
}

void ServerCall::ApplyInitialMetadata(const Metadata& metadata) {
  if (session_ == nullptr || answered_ || responding_) return;
  if (Status status = CheckMetadata(metadata); !status.ok()) {
    ended_.store(true);  // whoever has decided otherwise meanwhile comes too late
    return ApplyEnd(std::move(status), {});
  }
  StartResponse(metadata);
  session_->WantOutput();
}

void ServerCall::StartResponse(const Metadata& metadata) {
  responding_ = true;
  const Compression agreed = AgreedCompression();
  if (metadata.empty() && agreed == Compression::kIdentity && !reader_.has_encoding()) {
    constexpr std::array kFields = {kStatusOk, kContentType};
    session_->http2().Respond(*this, kFields, false);
    return;
  }
  FieldList fields;
  fields.Add(kStatusOk);
  fields.Add(kContentType);
  if (agreed != Compression::kIdentity) fields.Add({"grpc-encoding", CompressionName(agreed)});
  if (reader_.has_encoding()) fields.Add(kAcceptEncoding);
  fields.Add(metadata);
  session_->http2().Respond(*this, fields.span(), false);
}

void ServerCall::ApplyEnd(Status status, Metadata trailing) {
  if (session_ == nullptr || answered_) return;
  answered_ = true;
  status_ = std::move(status);
  trailing_ = std::move(trailing);
  if (Status check = CheckMetadata(trailing_); !check.ok()) {
    status_ = std::move(check);
    trailing_.clear();
  }
  DropRequest();
  ReleaseCredit(withheld_);  // for what the peer still sends, to be thrown away
  EndOutput();
  if (responding_) {
    session_->http2().Resume(*this);
  } else if (http_status_ != "200" && !is_head_) {
    RespondToStranger();
  } else {
    RespondTrailersOnly();
  }
  session_->WantOutput();
  if (method_ == nullptr && session_->methods().fallback) {
    // Later, since the handler may be in the middle of an event.
    origin_->loop->Post([self = shared_from_this()] { self->DeliverDone(); });
  }
}

void ServerCall::RespondTrailersOnly() {
  FieldList fields;
  fields.Add({":status", http_status_});
  fields.Add(kContentType);
  if (reader_.has_encoding()) fields.Add(kAcceptEncoding);
  fields.Add(status_);
  fields.Add(trailing_);
  session_->http2().Respond(*this, fields.span(), true);
  CountAnswered();
}

// What is no gRPC gets an answer that HTTP alone understands; the trailers are gRPC's.
void ServerCall::RespondToStranger() {
  const std::string& text = status_.message();
  responding_ = true;
  output().Append(text);
  session_->OnBytesWait(text.size());
  if (method_ == nullptr) buffered_.fetch_add(text.size());
  const Http2Field fields[] = {{":status", http_status_}, {"content-type", "text/plain"}};
  session_->http2().Respond(*this, fields, false);
}

void ServerCall::OnOutputEnd() {
  if (status_.ok() && trailing_.empty()) {
    session_->http2().SendTrailers(*this, {&kGrpcStatusOk, 1});
  } else {
    FieldList fields;
    fields.Add(status_);
    fields.Add(trailing_);
    session_->http2().SendTrailers(*this, fields.span());
  }
  CountAnswered();
}

void ServerCall::OnOutputTaken(size_t bytes) {
  session_->OnBytesTaken(bytes);
  if (method_) return;
  if (buffered_.fetch_sub(bytes) == bytes && events_) events_->OnDrained();
}

void ServerCall::OnClose(uint32_t /*error_code*/) {
  GrpcSession* session = session_;
  Detach();
  session->Remove(*this);  // may be the end of this
}

void ServerCall::Detach() {
  CountAnswered();
  Decide(StatusCode::kCancelled);
  DropRequest();
  session_->OnBytesDropped(output().size());
  session_ = nullptr;
  if (!output().empty()) {
    if (method_ == nullptr) buffered_.fetch_sub(output().size());
    output() = OutputQueue();
  }
  DeliverDone();
}

void ServerCall::CountAnswered() {
  if (!std::exchange(counted_, true)) session_->OnAnswered(admitted_);
}

void ServerCall::DropRequest() {
  origin_->loop->CancelTimer(std::exchange(deadline_timer_, {}));
  ReleaseBytes(held_bytes_);
  request_ = ByteBuffer();
  reader_.Drop();
}

void ServerCall::DeliverDone() {
  if (const auto events = std::move(events_)) events->OnDone();
}

void ServerCall::ArmDeadline() {
  if (done()) return;
  deadline_timer_ = origin_->loop->AddTimer(
      *deadline_, [this] { End(Status::DeadlineExceeded("Deadline Exceeded")); });
}

}  // namespace fastserve
