#include "transport/grpc/message_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transport/grpc/compression.h"
#include "transport/grpc/grpc_wire.h"

namespace fastserve {
namespace {

constexpr size_t kMax = 1000;

// What a reader makes of bytes that come in pieces.
struct Reading {
  std::vector<std::string> messages;
  Status status;
};

void ReadPiece(MessageReader& reader, ByteView piece, Reading& reading) {
  while (reading.status.ok()) {
    Result<std::optional<ByteBuffer>> message = reader.Next(piece);
    reading.status = message.status();
    if (!message.ok()) return;
    if (!message->has_value()) {
      EXPECT_TRUE(piece.empty());
      return;
    }
    reading.messages.emplace_back((*message)->view());
  }
}

Reading ReadInPieces(MessageReader reader, ByteView bytes, size_t first, size_t rest) {
  Reading reading;
  ReadPiece(reader, bytes.substr(0, first), reading);
  for (size_t i = first; i < bytes.size(); i += rest) {
    ReadPiece(reader, bytes.substr(i, rest), reading);
  }
  EXPECT_FALSE(reading.status.ok() && reader.mid_message());
  return reading;
}

Status StatusOf(MessageReader& reader, ByteView bytes) {
  Reading reading;
  ReadPiece(reader, bytes, reading);
  return reading.status;
}

TEST(MessageReaderTest, CutsMessagesOutOfBytesSplitAnywhere) {
  const std::vector<std::string> messages = {"first", "", "x", std::string(300, 'y'), ""};
  std::string bytes;
  for (const std::string& message : messages) bytes += Message(message);
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (const size_t rest : {size_t{1}, size_t{7}, bytes.size()}) {
      const Reading reading = ReadInPieces(MessageReader(kMax), bytes, first, rest);
      ASSERT_TRUE(reading.status.ok());
      ASSERT_EQ(reading.messages, messages) << first << ", then " << rest;
    }
  }
}

TEST(MessageReaderTest, KnowsWhetherItIsInTheMiddleOfAMessage) {
  MessageReader reader(kMax);
  const std::string bytes = Message("ab");
  EXPECT_FALSE(reader.mid_message());
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_TRUE(StatusOf(reader, bytes.substr(i, 1)).ok());
    EXPECT_EQ(reader.mid_message(), i + 1 < bytes.size()) << i;
  }
}

TEST(MessageReaderTest, LargestMessageIsTakenAndALongerOneRefusedAtItsPrefix) {
  MessageReader reader(kMax);
  EXPECT_TRUE(StatusOf(reader, Message(std::string(kMax, 'x'))).ok());
  const Status status = StatusOf(reader, Message(std::string(kMax + 1, 'x')).substr(0, 5));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "Received message larger than max (1001 vs. 1000)");
}

TEST(MessageReaderTest, LengthIsUnsigned) {
  MessageReader reader(kMax);
  EXPECT_EQ(StatusOf(reader, std::string("\0\xff\xff\xff\xff", 5)).message(),
            "Received message larger than max (4294967295 vs. 1000)");
}

TEST(MessageReaderTest, CompressionThatNobodyKnowsIsUnimplementedAndNamed) {
  MessageReader reader(kMax);
  reader.set_encoding("br");
  EXPECT_TRUE(reader.has_encoding());
  const Status status = StatusOf(reader, Message("zzz", 1));
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(status.message(),
            "messages compressed with \"br\" are not supported; supported encodings: identity, "
            "deflate, gzip");
}

TEST(MessageReaderTest, CompressedMessagesAreDecompressedOneByOne) {
  for (const Compression compression : {Compression::kDeflate, Compression::kGzip}) {
    MessageReader reader(1 << 20);
    reader.set_encoding(CompressionName(compression));
    const std::string text(500'000, 'x');
    const std::string packed = Compress(compression, Chain(text))->Flatten();
    Reading reading;
    ReadPiece(reader, Message(packed, 1) + Message("plain") + Message(packed, 1), reading);
    EXPECT_EQ(reading.messages, (std::vector<std::string>{text, "plain", text}));
  }
}

TEST(MessageReaderTest, MessageThatGrowsBeyondTheLimitIsRefused) {
  MessageReader reader(kMax);
  reader.set_encoding("gzip");
  const std::string packed =
      Compress(Compression::kGzip, Chain(std::string(kMax + 1, 'x')))->Flatten();
  ASSERT_LT(packed.size(), kMax);
  const Status status = StatusOf(reader, Message(packed, 1));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "Received message larger than max (more than " +
                                  std::to_string(kMax) + " bytes when decompressed)");
}

TEST(MessageReaderTest, DecompressedMessageIsPlacedWhereItsMethodWantsIt) {
  MessageReader reader(1 << 20);
  reader.set_encoding("gzip");
  reader.set_payload_offset([](ByteView head, size_t size) {
    EXPECT_EQ(head, std::string(1000, 'x'));
    EXPECT_EQ(size, 1000u);
    return size_t{7};
  });
  const std::string wire =
      Message(Compress(Compression::kGzip, Chain(std::string(1000, 'x')))->Flatten(), 1);
  ByteView piece = wire;
  const auto message = reader.Next(piece);
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*message)->data() + 7) % kTensorAlignment, 0u);
}

TEST(MessageReaderTest, MessagesNotCompressedPassUnderAnyEncoding) {
  MessageReader reader(kMax);
  reader.set_encoding("gzip");
  Reading reading;
  ReadPiece(reader, Message("plain"), reading);
  EXPECT_EQ(reading.messages, std::vector<std::string>{"plain"});
}

TEST(MessageReaderTest, CompressedFlagWithoutAnEncodingMakesNoSense) {
  for (const char* encoding : {"", "identity"}) {
    MessageReader reader(kMax);
    reader.set_encoding(encoding);
    EXPECT_FALSE(reader.has_encoding());
    EXPECT_EQ(StatusOf(reader, Message("x", 1)).code(), StatusCode::kInternal);
  }
}

TEST(MessageReaderTest, UnknownFlagMakesNoSense) {
  for (const int flag : {2, 3, 128, 255}) {
    MessageReader reader(kMax);
    const Status status = StatusOf(reader, Message("x", static_cast<uint8_t>(flag)));
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_EQ(status.message(), "illegal flag " + std::to_string(flag) + " in a message's prefix");
  }
}

TEST(MessageReaderTest, PlacesTheByteAskedForOnABoundary) {
  MessageReader reader(kMax);
  reader.set_payload_offset([](ByteView head, size_t size) {
    EXPECT_EQ(size, 100u);
    EXPECT_EQ(head, "head");
    return size_t{13};
  });
  const std::string bytes = Message("head" + std::string(96, 'x'));
  ByteView piece = ByteView(bytes).substr(0, 9);
  ASSERT_FALSE(reader.Next(piece)->has_value());
  piece = ByteView(bytes).substr(9);
  const Result<std::optional<ByteBuffer>> message = reader.Next(piece);
  ASSERT_TRUE(message->has_value());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*message)->data() + 13) % kTensorAlignment, 0u);
  EXPECT_EQ((*message)->view(), bytes.substr(5));
}

TEST(MessageReaderTest, BytesAfterAMessageDoNotBelongToItsHead) {
  MessageReader reader(kMax);
  reader.set_payload_offset([](ByteView head, size_t) {
    EXPECT_EQ(head, "ab");
    return size_t{0};
  });
  const std::string bytes = Message("ab") + Message("ab");
  Reading reading;
  ReadPiece(reader, bytes, reading);
  EXPECT_EQ(reading.messages, (std::vector<std::string>{"ab", "ab"}));
}

TEST(MessageReaderTest, DropFreesAnUnfinishedMessage) {
  MessageReader reader(kMax);
  ASSERT_TRUE(StatusOf(reader, Message("unfinished").substr(0, 8)).ok());
  reader.Drop();
  EXPECT_TRUE(reader.mid_message());
}

}  // namespace
}  // namespace fastserve
