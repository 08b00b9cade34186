// The calls of one connection, without a socket: a client's bytes in, the server's bytes out.

#include "transport/grpc/grpc_session.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transport/grpc/bring.h"
#include "transport/grpc/grpc_wire.h"
#include "transport/grpc/recorded_call.h"
#include "transport/http2/http2_client.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;
using std::chrono::milliseconds;

constexpr size_t kMaxMessage = 20 << 20;
constexpr size_t kMaxSent = 21 << 20;
constexpr size_t kMaxBuffered = 4 << 20;

// A session with a method of each kind, and a client whose bytes the test carries over.
class GrpcSessionTest : public ::testing::Test, public GrpcSession::Host {
 protected:
  explicit GrpcSessionTest(const Http2ClientOptions& options = {.stream_window = 1 << 20})
      : client_(options) {
    // Answers with the request's text.
    methods_.methods["/s/Echo"] = {.handle = [](const CallPtr& call, const ByteBuffer& request) {
      call->Reply(Chain(request.view()));
    }};
    methods_.methods["/s/Keep"] = {
        .handle = [this](CallPtr call, ByteBuffer) { kept_ = std::move(call); }};
    methods_.fallback = [this](CallPtr call) -> std::unique_ptr<CallEvents> {
      if (call->path() == "/s/Unknown") return nullptr;
      kept_ = std::move(call);
      return std::make_unique<RecordedCall>(log_);
    };
    session_.emplace(*this, methods_, Http2Limits{}, load_, origin_);
  }

  // Runs `task` on the loop's thread, which is this one for the while.
  void InLoop(const std::function<void()>& task) {
    loop_->Post(task);
    loop_->Turn(milliseconds(0));
  }
  // Carries bytes both ways, in portions of `portion`, until neither side has any.
  void Carry(size_t portion = SIZE_MAX) {
    for (bool moved = true; moved;) {
      const std::string up = client_.TakeOutput();
      std::string down;
      InLoop([&] {
        for (size_t i = 0; i < up.size(); i += std::min(portion, up.size() - i)) {
          EXPECT_TRUE(Bring(*session_, ByteView(up).substr(i, portion)).ok());
        }
        down = TakeOutput();
      });
      EXPECT_TRUE(client_.Receive(down));
      moved = !up.empty() || !down.empty();
    }
    loop_->Turn(milliseconds(0));  // what was posted meanwhile
  }
  std::string TakeOutput() {
    std::string bytes;
    OutputQueue& output = session_->http2().output();
    while (session_->http2().Pull(1 << 20) && !output.empty()) {
      iovec vector;
      output.Gather({&vector, 1});
      bytes.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
      output.Consume(vector.iov_len);
    }
    return bytes;
  }

  int32_t Begin(const Fields& fields, std::string_view data = {}, bool end = false) {
    const int32_t id = client_.Request(fields);
    client_.Send(id, data, end);
    Carry();
    return id;
  }
  // A whole exchange; `data` is the DATA of the request.
  const Exchange& Ask(const Fields& fields, std::string_view data) {
    return client_.exchange(Begin(fields, data, true));
  }
  // The grpc-status of an answer without messages, and its message.
  static std::string StatusOf(const Exchange& exchange) {
    EXPECT_EQ(exchange.data, "");
    return exchange.Field("grpc-status") + ": " + exchange.Field("grpc-message");
  }

  const std::shared_ptr<EventLoop> loop_ = *EventLoop::Create();
  const std::shared_ptr<const CallOrigin> origin_ =
      std::make_shared<const CallOrigin>(CallOrigin{loop_,
                                                    "ipv4:1.2.3.4:5",
                                                    {.max_message_bytes = kMaxMessage,
                                                     .max_sent_message_bytes = kMaxSent,
                                                     .max_buffered_bytes = kMaxBuffered}});
  MethodTable methods_;
  ServerLoad load_;
  CallLog log_;
  CallPtr kept_;
  std::optional<GrpcSession> session_;
  Http2Client client_;
  int outputs_wanted_ = 0;

 private:
  void OnOutput() override { ++outputs_wanted_; }
};

TEST_F(GrpcSessionTest, UnaryAnswerIsHeadersOneMessageAndTrailers) {
  const Exchange& exchange = Ask(CallFields("/s/Echo"), Message("hello"));
  EXPECT_EQ(exchange.headers, (Fields{{":status", "200"}, {"content-type", "application/grpc"}}));
  EXPECT_EQ(SplitMessages(exchange.data), Lines{"hello"});
  EXPECT_EQ(exchange.trailers, (Fields{{"grpc-status", "0"}}));
  EXPECT_EQ(exchange.close_error, 0u);
  EXPECT_EQ(session_->calls_in_flight(), 0u);
}

TEST_F(GrpcSessionTest, RequestThatComesByteByByteIsAnsweredTheSame) {
  const int32_t id = client_.Request(CallFields("/s/Echo"));
  client_.Send(id, Message("drop by drop"), true);
  Carry(1);
  EXPECT_EQ(SplitMessages(client_.exchange(id).data), Lines{"drop by drop"});
  EXPECT_EQ(client_.exchange(id).Field("grpc-status"), "0");
}

TEST_F(GrpcSessionTest, EmptyAndLargeMessagesAreEchoed) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{5'000}, size_t{3'000'000}}) {
    const Exchange& exchange = Ask(CallFields("/s/Echo"), Message(std::string(size, 'm')));
    EXPECT_TRUE(exchange.data == Message(std::string(size, 'm'))) << size;
    EXPECT_EQ(exchange.Field("grpc-status"), "0");
  }
}

TEST_F(GrpcSessionTest, CallTellsWhereItCameFrom) {
  Begin(CallFields("/s/Keep", {{"custom", "value"}}), Message(""), true);
  EXPECT_EQ(kept_->path(), "/s/Keep");
  EXPECT_EQ(kept_->peer(), "ipv4:1.2.3.4:5");
  EXPECT_EQ(kept_->deadline(), std::nullopt);
  EXPECT_TRUE(kept_->metadata().empty()) << "a native call keeps none";
  EXPECT_FALSE(kept_->done());
  EXPECT_EQ(session_->calls_in_flight(), 1u);
}

TEST_F(GrpcSessionTest, ErrorIsTrailersAloneWithItsMessageEncoded) {
  const int32_t id = Begin(CallFields("/s/Keep"), Message(""), true);
  InLoop([&] { kept_->Finish(Status::NotFound("no € at 100%"), {}); });
  EXPECT_TRUE(kept_->done());
  Carry();
  EXPECT_EQ(client_.exchange(id).headers, (Fields{{":status", "200"},
                                                  {"content-type", "application/grpc"},
                                                  {"grpc-status", "5"},
                                                  {"grpc-message", "no %E2%82%AC at 100%25"}}));
  EXPECT_TRUE(client_.exchange(id).trailers.empty());
}

TEST_F(GrpcSessionTest, LongErrorMessageIsCut) {
  const int32_t id = Begin(CallFields("/s/Keep"), Message(""), true);
  InLoop([&] { kept_->Finish(Status::Internal(std::string(100'000, 'm')), {}); });
  Carry();
  EXPECT_EQ(client_.exchange(id).Field("grpc-message"), std::string(1024, 'm') + "...TRUNCATED");
}

TEST_F(GrpcSessionTest, OnlyTheFirstEndOfACallCounts) {
  const int32_t id = Begin(CallFields("/s/Keep"), Message(""), true);
  InLoop([&] {
    kept_->Reply(Chain("first"));
    kept_->Finish(Status::Internal("second"), {});
    kept_->Reply(Chain("third"));
    kept_->SendMessage(Chain("fourth"));
  });
  Carry();
  EXPECT_EQ(SplitMessages(client_.exchange(id).data), Lines{"first"});
  EXPECT_EQ(client_.exchange(id).Field("grpc-status"), "0");
}

TEST_F(GrpcSessionTest, AnswerFromAnotherThreadIsPostedAndWantsOutput) {
  const int32_t id = Begin(CallFields("/s/Keep"), Message(""), true);
  std::thread([&] { kept_->Reply(Chain("from afar")); }).join();
  EXPECT_TRUE(kept_->done());
  EXPECT_EQ(outputs_wanted_, 0);
  loop_->Turn(milliseconds(0));
  EXPECT_GT(outputs_wanted_, 0);
  Carry();
  EXPECT_EQ(SplitMessages(client_.exchange(id).data), Lines{"from afar"});
}

TEST_F(GrpcSessionTest, UnaryRequestHasExactlyOneWholeMessage) {
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Echo"), "")), "13: a unary request has no message");
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Echo"), Message("a") + Message("b"))),
            "13: a unary request has more than one message");
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Echo"), Message("cut").substr(0, 7))),
            "13: the request ended in the middle of a message");
}

TEST_F(GrpcSessionTest, OtherMethodsAndContentTypesGetTheirHttpStatus) {
  Fields get = CallFields("/s/Echo");
  get[0].second = "GET";
  const Exchange& not_post = Ask(get, "");
  EXPECT_EQ(not_post.Field(":status"), "405");
  EXPECT_EQ(not_post.data, "a gRPC request's method is POST");
  EXPECT_EQ(not_post.Field("content-type"), "text/plain");
  EXPECT_EQ(not_post.Field("grpc-status"), "13");
  EXPECT_EQ(not_post.Field("grpc-message"), "a gRPC request's method is POST");
  get[0].second = "HEAD";
  const Exchange& head = Ask(get, "");
  EXPECT_EQ(head.Field(":status"), "405");
  EXPECT_EQ(StatusOf(head), "13: a gRPC request's method is POST");
  Fields json = CallFields("/s/Echo");
  json.back().second = "application/json";
  const Exchange& not_grpc = Ask(json, "{}");
  EXPECT_EQ(not_grpc.Field(":status"), "415");
  EXPECT_EQ(not_grpc.data, "a gRPC request's content-type is application/grpc");
  EXPECT_EQ(not_grpc.Field("grpc-status"), "2");
}

TEST_F(GrpcSessionTest, UnknownMethodIsUnimplemented) {
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Unknown"), Message("x"))), "12: ");
  methods_.fallback = nullptr;
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Other"), Message("x"))), "12: ");
  EXPECT_TRUE(log_.lines().empty());
}

TEST_F(GrpcSessionTest, MalformedTimeoutIsAnError) {
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Echo", {{"grpc-timeout", "1x"}}), Message(""))),
            "13: malformed grpc-timeout \"1x\"");
}

TEST_F(GrpcSessionTest, TooLongMessageIsRefusedBeforeItHasCome) {
  const std::string prefix = BigEndian(0, 1) + BigEndian(kMaxMessage + 1, 4);
  const int32_t id = Begin(CallFields("/s/Echo"), prefix);
  EXPECT_EQ(StatusOf(client_.exchange(id)),
            "8: Received message larger than max (20971521 vs. 20971520)");
}

TEST_F(GrpcSessionTest, UnknownCompressionIsUnimplementedAndTheKnownOnesAreOffered) {
  const Fields fields = CallFields("/s/Echo", {{"grpc-encoding", "br"}});
  const Exchange& refused = Ask(fields, Message("zipped", 1));
  EXPECT_EQ(refused.Field("grpc-status"), "12");
  EXPECT_EQ(refused.Field("grpc-accept-encoding"), "identity, deflate, gzip");
  const Exchange& plain = Ask(fields, Message("plain"));
  EXPECT_EQ(SplitMessages(plain.data), Lines{"plain"});
  EXPECT_EQ(Ask(CallFields("/s/Echo"), Message("zipped", 1)).Field("grpc-status"), "13");
}

TEST_F(GrpcSessionTest, CompressedRequestIsAnsweredUncompressed) {
  for (const Compression compression : {Compression::kDeflate, Compression::kGzip}) {
    const std::string name(CompressionName(compression));
    const Exchange& answer =
        Ask(CallFields("/s/Echo", {{"grpc-encoding", name}, {"grpc-accept-encoding", name}}),
            Message(Compress(compression, Chain(std::string(9'999, 'x')))->Flatten(), 1));
    EXPECT_EQ(SplitMessages(answer.data), Lines{std::string(9'999, 'x')});
    EXPECT_EQ(answer.data[0], '\0');
    EXPECT_EQ(answer.Field("grpc-accept-encoding"), "identity, deflate, gzip");
    EXPECT_EQ(answer.Field("grpc-encoding"), "");
  }
}

TEST_F(GrpcSessionTest, StreamIsCompressedWhereItsHandlerAsksAndTheClientAccepts) {
  const std::string text(9'999, 'x');
  for (const std::string accepted : {"identity, gzip", "identity,deflate", ""}) {
    const int32_t id =
        Begin(CallFields("/s/Stream", {{"grpc-accept-encoding", accepted}}), "", true);
    kept_->SetCompression(Compression::kGzip);
    InLoop([&] {
      kept_->SendMessage(Chain(text));
      kept_->SendMessage(Chain("short"));  // which compression would make longer
      kept_->SendMessage(Chain(text), false);
      kept_->Finish({});
    });
    Carry();
    const bool accepts = accepted == "identity, gzip";
    const Exchange& answer = client_.exchange(id);
    EXPECT_EQ(answer.Field("grpc-encoding"), accepts ? "gzip" : "");
    const Lines messages = SplitMessages(answer.data);
    ASSERT_EQ(messages.size(), 3u);
    EXPECT_EQ(answer.data[0], accepts ? '\1' : '\0');
    EXPECT_EQ(accepts ? *Decompress(Compression::kGzip, messages[0], 1 << 20) : messages[0], text);
    EXPECT_EQ(messages[1], "short");
    EXPECT_EQ(messages[2], text);
  }
}

TEST_F(GrpcSessionTest, AnswerLongerThanAllowedIsRefusedInItsPlace) {
  const std::string wanted = "8: Sent message larger than max (" + std::to_string(kMaxSent + 1) +
                             " vs. " + std::to_string(kMaxSent) + ")";
  for (const char* path : {"/s/Keep", "/s/Stream"}) {
    const int32_t id = Begin(CallFields(path), Message(""), true);
    InLoop([&] { kept_->Reply(Chain(std::string(kMaxSent + 1, 'x'))); });
    Carry();
    EXPECT_EQ(StatusOf(client_.exchange(id)), wanted);
  }
}

// A client that takes of its answers only what the test lets it, from a method with large ones.
class SlowClientTest : public GrpcSessionTest {
 protected:
  static constexpr size_t kAnswer = 1 << 20;

  SlowClientTest() : GrpcSessionTest({.gives_credit = false}) {
    methods_.methods["/s/Large"] = {.handle = [this](const CallPtr& call, const ByteBuffer&) {
      ++runs_;
      call->Reply(Chain(std::string(kAnswer, 'x')));
    }};
  }
  // Gives credit for all that has come, and lets the server go on.
  void Take() {
    for (auto& [id, credited] : credited_) {
      const size_t come = client_.exchange(id).data.size();
      client_.Credit(id, come - std::exchange(credited, come));
    }
    Carry();
    InLoop([&] { session_->RunHeld(); });
  }
  void BeginLarge() { credited_[Begin(CallFields("/s/Large"), Message("x"), true)]; }

  int runs_ = 0;
  std::map<int32_t, size_t> credited_;
};

TEST_F(SlowClientTest, CallsWaitWhileTheClientLeavesTooMuchOfItsAnswers) {
  for (int i = 0; i < 9; ++i) BeginLarge();
  EXPECT_EQ(runs_, 5);
  EXPECT_GT(session_->bytes_waiting(), kMaxBuffered);
  EXPECT_LT(session_->bytes_waiting(), kMaxBuffered + 2 * kAnswer);
  const int32_t late = Begin(CallFields("/s/Echo"), Message("late"), true);
  credited_[late];
  EXPECT_EQ(client_.exchange(late).data, "");
  for (int round = 0; round < 1000 && !client_.exchange(late).ended; ++round) Take();
  EXPECT_EQ(runs_, 9);
  EXPECT_EQ(SplitMessages(client_.exchange(late).data), Lines{"late"});
}

TEST_F(GrpcSessionTest, CallsBeyondTheShareOfATurnWaitForTheNextOnes) {
  std::string order;
  methods_.methods["/s/Long"] = {.handle = [&](const CallPtr& call, const ByteBuffer& request) {
    order += request.view();
    OutlastTurn();
    call->Reply({});
  }};
  for (const char* name : {"a", "b", "c"}) {
    client_.Send(client_.Request(CallFields("/s/Long")), Message(name), true);
  }
  Carry();
  EXPECT_EQ(order, "a");
  Begin(CallFields("/s/Long"), Message("d"), true);
  EXPECT_EQ(order, "a");
  for (const char* expected : {"ab", "abc", "abcd"}) {
    EXPECT_TRUE(session_->may_run_held());
    InLoop([&] { session_->RunHeld(); });
    EXPECT_EQ(order, expected);
  }
  EXPECT_FALSE(session_->may_run_held());
}

TEST_F(SlowClientTest, CallThatEndsWhileItWaitsIsNotRun) {
  for (int i = 0; i < 8; ++i) BeginLarge();
  EXPECT_EQ(runs_, 5);
  for (const auto& [id, credited] : credited_) client_.Reset(id, NGHTTP2_CANCEL);
  Carry();
  InLoop([&] { session_->RunHeld(); });
  EXPECT_EQ(runs_, 5);
  EXPECT_EQ(session_->bytes_waiting(), 0u);
  EXPECT_EQ(session_->calls_in_flight(), 0u);
}

TEST_F(GrpcSessionTest, RequestIsPlacedWhereItsMethodWantsIt) {
  uintptr_t address = 0;
  methods_.methods["/s/Aligned"] = {.handle =
                                        [&](const CallPtr& call, const ByteBuffer& request) {
                                          address = reinterpret_cast<uintptr_t>(request.data());
                                          call->Reply({});
                                        },
                                    .payload_offset = [](ByteView, size_t) { return size_t{7}; }};
  Ask(CallFields("/s/Aligned"), Message(std::string(200, 'x')));
  EXPECT_EQ((address + 7) % kTensorAlignment, 0u);
}

TEST_F(GrpcSessionTest, StreamIsToldOfItsMessagesItsHalfCloseAndItsEnd) {
  const int32_t id = Begin(CallFields("/s/Stream"));
  EXPECT_TRUE(log_.lines().empty());
  client_.Send(id, Message("one") + Message("two").substr(0, 6), false);
  Carry();
  EXPECT_EQ(log_.lines(), Lines{"message one"});
  client_.Send(id, Message("two").substr(6), true);
  Carry();
  EXPECT_EQ(log_.lines(), Lines({"message one", "message two", "half-close"}));
  InLoop([&] { kept_->Finish({}, {}); });
  Carry();
  EXPECT_EQ(log_.lines().back(), "done");
  EXPECT_EQ(client_.exchange(id).headers.back(),
            (std::pair<std::string, std::string>("grpc-status", "0")));
  EXPECT_EQ(client_.exchange(id).close_error, 0u);
}

TEST_F(GrpcSessionTest, StreamAnswersWithMetadataMessagesAndTrailers) {
  const int32_t id = Begin(CallFields("/s/Stream"), Message(""), true);
  InLoop([&] {
    kept_->SendInitialMetadata({{"first", "1"}, {"raw-bin", std::string("\0\xff", 2)}});
    kept_->SendMessage(Chain("one"));
    kept_->SendMessage(Chain("two"));
    kept_->SendInitialMetadata({{"too", "late"}});
    kept_->Finish(Status::Internal("broken"), {{"last", "2"}, {"end-bin", "f"}});
  });
  Carry();
  const Exchange& exchange = client_.exchange(id);
  EXPECT_EQ(exchange.headers, (Fields{{":status", "200"},
                                      {"content-type", "application/grpc"},
                                      {"first", "1"},
                                      {"raw-bin", "AP8"}}));
  EXPECT_EQ(SplitMessages(exchange.data), Lines({"one", "two"}));
  EXPECT_EQ(
      exchange.trailers,
      (Fields{
          {"grpc-status", "13"}, {"grpc-message", "broken"}, {"last", "2"}, {"end-bin", "Zg"}}));
}

TEST_F(GrpcSessionTest, StreamGetsTheCustomMetadataWithBinaryValuesDecoded) {
  Begin(CallFields("/s/Stream", {{"grpc-timeout", "1H"},
                                 {"user-agent", "test"},
                                 {"key", "a,b"},
                                 {"raw-bin", "AP8="},
                                 {"two-bin", "Zg,Zm8"}}));
  const Metadata expected = {{"user-agent", "test"},
                             {"key", "a,b"},
                             {"raw-bin", std::string("\0\xff", 2)},
                             {"two-bin", "f"},
                             {"two-bin", "fo"}};
  Metadata metadata = kept_->metadata();
  std::erase_if(metadata, [](const auto& field) { return field.first == "host"; });
  EXPECT_EQ(metadata, expected);
  ASSERT_TRUE(kept_->deadline());
  EXPECT_GT(*kept_->deadline(), Call::Clock::now() + std::chrono::minutes(59));
}

TEST_F(GrpcSessionTest, IllegalBase64InTheMetadataIsAnError) {
  EXPECT_EQ(StatusOf(Ask(CallFields("/s/Stream", {{"raw-bin", "?"}}), "")),
            "13: illegal base64 in the metadata value of \"raw-bin\"");
}

TEST_F(GrpcSessionTest, IllegalTrailingMetadataIsAnErrorAndNotSent) {
  const int32_t id = Begin(CallFields("/s/Stream"), "", true);
  InLoop([&] { kept_->Finish({}, {{"Bad Key", "x"}, {"good", "y"}}); });
  Carry();
  EXPECT_EQ(StatusOf(client_.exchange(id)), "13: illegal metadata key \"Bad Key\"");
  EXPECT_EQ(client_.exchange(id).Field("good"), "");
}

TEST_F(GrpcSessionTest, IllegalInitialMetadataIsAnErrorOnAnyThread) {
  const auto answer = [&] {
    kept_->SendInitialMetadata({{"key", "\n"}});
    kept_->Reply(Chain("never sent"));
  };
  const std::string expected = "13: illegal characters in the metadata value of \"key\"";
  const int32_t here = Begin(CallFields("/s/Stream"), "", true);
  InLoop(answer);
  Carry();
  EXPECT_EQ(StatusOf(client_.exchange(here)), expected);
  const int32_t elsewhere = Begin(CallFields("/s/Stream"), "", true);
  std::thread(answer).join();
  Carry();
  EXPECT_EQ(StatusOf(client_.exchange(elsewhere)), expected);
  EXPECT_EQ(kept_->buffered_bytes(), 0u);
}

TEST_F(GrpcSessionTest, BufferedBytesGoDownAsTheClientTakesThemAndTheStreamIsTold) {
  const int32_t id = Begin(CallFields("/s/Stream"));
  const std::string large(2 << 20, 'x');
  InLoop([&] { kept_->SendMessage(Chain(large)); });
  EXPECT_EQ(kept_->buffered_bytes(), large.size() + kMessagePrefix);
  EXPECT_TRUE(log_.lines().empty());
  Carry();
  EXPECT_EQ(kept_->buffered_bytes(), 0u);
  EXPECT_EQ(log_.lines(), Lines{"drained"});
  EXPECT_EQ(client_.exchange(id).data.size(), large.size() + kMessagePrefix);
}

TEST_F(GrpcSessionTest, StreamThatDoesNotConsumeStopsTheSenderUntilItDoes) {
  constexpr size_t kSize = 3 << 20;
  constexpr int kMessages = 5;  // far more than the window of 8 MiB
  const int32_t id = Begin(CallFields("/s/Stream"));
  for (int i = 0; i < kMessages; ++i) client_.Send(id, Message(std::string(kSize, 'm')), false);
  Carry();
  EXPECT_EQ(log_.lines().size(), 2u);
  EXPECT_LE(client_.exchange(id).body_sent, 9u << 20);
  for (int i = 0; i < kMessages; ++i) {
    InLoop([&] { kept_->MessageConsumed(kSize); });
    Carry();
  }
  EXPECT_EQ(log_.lines().size(), static_cast<size_t>(kMessages));
  EXPECT_EQ(client_.exchange(id).body_sent, kMessages * (kSize + kMessagePrefix));
}

TEST_F(GrpcSessionTest, MessageLargerThanTheWindowArrives) {
  constexpr size_t kSize = 10 << 20;  // of a window of 8 MiB
  Begin(CallFields("/s/Stream"), Message(std::string(kSize, 'm')), true);
  EXPECT_EQ(log_.lines(), Lines({"message " + std::to_string(kSize), "half-close"}));
}

TEST_F(GrpcSessionTest, AnsweredStreamTakesTheRestOfItsRequestWithoutTellingTheHandler) {
  const int32_t id = Begin(CallFields("/s/Stream"), Message("one"));
  InLoop([&] { kept_->Finish(Status::InvalidArgument("enough"), {}); });
  client_.Send(id, Message(std::string(10 << 20, 'm')), true);
  Carry();
  EXPECT_EQ(log_.lines(), Lines({"message one", "done"}));
  EXPECT_EQ(StatusOf(client_.exchange(id)), "3: enough");
}

TEST_F(GrpcSessionTest, CancelledCallIsDoneAndItsAnswersDropped) {
  const int32_t id = Begin(CallFields("/s/Stream"), Message("one"));
  InLoop([&] { kept_->SendMessage(Chain(std::string(5 << 20, 'x'))); });
  client_.Reset(id, NGHTTP2_CANCEL);
  Carry();
  EXPECT_TRUE(kept_->done());
  EXPECT_EQ(log_.lines().back(), "done");
  EXPECT_EQ(kept_->buffered_bytes(), 0u);
  EXPECT_EQ(session_->calls_in_flight(), 0u);
  kept_->SendMessage(Chain("late"));
  kept_->Reply(Chain("later"));
  Carry();
  EXPECT_EQ(kept_->buffered_bytes(), 0u);
  EXPECT_EQ(client_.exchange(id).Field("grpc-status"), "");
}

TEST_F(GrpcSessionTest, CancelledUnaryCallIsDone) {
  const int32_t id = Begin(CallFields("/s/Keep"), Message(""), true);
  client_.Reset(id, NGHTTP2_CANCEL);
  Carry();
  EXPECT_TRUE(kept_->done());
  InLoop([&] { kept_->Reply(Chain("late")); });
  Carry();
  EXPECT_EQ(client_.exchange(id).data, "");
}

TEST_F(GrpcSessionTest, DeadlineAnswersACallThatTakesTooLong) {
  const auto begin = Call::Clock::now();
  const int32_t id = Begin(CallFields("/s/Keep", {{"grpc-timeout", "5m"}}), Message(""), true);
  while (!kept_->done()) loop_->Turn(milliseconds(10'000));
  EXPECT_GE(Call::Clock::now(), begin + milliseconds(5));
  InLoop([&] { kept_->Reply(Chain("late")); });
  Carry();
  EXPECT_EQ(StatusOf(client_.exchange(id)), "4: Deadline Exceeded");
}

TEST_F(GrpcSessionTest, DeadlineEndsAStreamWhoseRequestIsUnfinished) {
  const int32_t id = Begin(CallFields("/s/Stream", {{"grpc-timeout", "1n"}}), Message("one"));
  EXPECT_TRUE(log_.WaitFor("message one"));
  Carry();
  EXPECT_EQ(StatusOf(client_.exchange(id)), "4: Deadline Exceeded");
  EXPECT_EQ(log_.lines(), Lines({"message one", "done"}));
}

TEST_F(GrpcSessionTest, DeadlineOfAnAnsweredCallIsForgotten) {
  Ask(CallFields("/s/Echo", {{"grpc-timeout", "1n"}}), Message("in time"));
  const int32_t id = Begin(CallFields("/s/Stream", {{"grpc-timeout", "50m"}}), "", true);
  InLoop([&] { kept_->Finish({}, {}); });
  Carry();
  const auto deadline = *kept_->deadline();
  kept_.reset();
  bool passed = false;
  loop_->AddTimer(deadline + milliseconds(1), [&] { passed = true; });
  while (!passed) loop_->Turn(milliseconds(10'000));
  EXPECT_EQ(StatusOf(client_.exchange(id)), "0: ");
}

TEST_F(GrpcSessionTest, LostConnectionEndsEveryCall) {
  Begin(CallFields("/s/Keep"), Message(""), true);
  const CallPtr unary = kept_;
  Begin(CallFields("/s/Stream"), Message("one"));
  const CallPtr stream = kept_;
  InLoop([&] { session_.reset(); });
  EXPECT_TRUE(unary->done());
  EXPECT_TRUE(stream->done());
  EXPECT_EQ(log_.lines(), Lines({"message one", "done"}));
  unary->Reply(Chain("late"));
  stream->MessageConsumed(3);
  stream->SendMessage(Chain("late"));
  loop_->Turn(milliseconds(0));
  EXPECT_EQ(stream->buffered_bytes(), 0u);
}

TEST_F(GrpcSessionTest, CallsMayBeAnsweredInAnyOrder) {
  std::vector<int32_t> ids;
  std::vector<CallPtr> calls;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(Begin(CallFields("/s/Keep"), Message(""), true));
    calls.push_back(std::move(kept_));
  }
  EXPECT_EQ(session_->calls_in_flight(), 20u);
  for (int i = 0; i < 20; ++i) {
    const int next = i * 7 % 20;
    InLoop([&] { calls[next]->Reply(Chain(std::to_string(next))); });
    Carry();
    EXPECT_EQ(SplitMessages(client_.exchange(ids[next]).data), Lines{std::to_string(next)});
  }
  EXPECT_EQ(session_->calls_in_flight(), 0u);
}

}  // namespace
}  // namespace fastserve
