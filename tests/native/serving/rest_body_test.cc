#include "serving/rest_body.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "codec/npy.h"
#include "codec/predict_wire.h"
#include "codec/wire_building.h"

namespace fastserve {
namespace {

bool IsAligned(const char* at) { return reinterpret_cast<uintptr_t>(at) % kTensorAlignment == 0; }

std::string NpyFile(size_t bytes) {
  const std::string data(bytes, 'x');
  return WriteNpy({.dtype = DataType::kUint8, .dims = {static_cast<int64_t>(bytes)}, .data = data});
}

void AppendInPieces(const std::string& bytes, size_t piece, RestBody* body) {
  for (size_t at = 0; at < bytes.size(); at += piece) {
    ASSERT_TRUE(body->Append(ByteView(bytes).substr(at, piece)));
  }
}

TEST(RestBodyTest, PiecesFollowEachOtherWhateverTheExpectedSize) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i);
  for (const std::optional<size_t> expected :
       {std::optional<size_t>(), std::optional(text.size()), std::optional<size_t>(10),
        std::optional(2 * text.size())}) {
    RestBody body(RestFormat::kJson, expected);
    AppendInPieces(text, 70'000, &body);
    EXPECT_EQ(body.view(), text);
    EXPECT_EQ(std::move(body).Take().view(), text);
  }
}

TEST(RestBodyTest, NoBytesAreABodyToo) {
  RestBody body(RestFormat::kJson, ByteView());
  EXPECT_EQ(body.view(), "");
  EXPECT_EQ(std::move(body).Take().size(), 0u);
}

TEST(RestBodyTest, ArraysOfNpyFilesLieWhereTensorFlowTakesThem) {
  const std::string file = NpyFile(300'000);
  for (const std::optional<size_t> expected :
       {std::optional<size_t>(), std::optional(file.size())}) {
    RestBody body(RestFormat::kNpy, expected);
    AppendInPieces(file, 65'536, &body);
    const ByteBuffer bytes = std::move(body).Take();
    EXPECT_TRUE(IsAligned(ReadNpy(bytes.view(), bytes)->data.data()));
  }
}

TEST(RestBodyTest, PayloadsOfPredictRequestsLieWhereTensorFlowTakesThem) {
  const std::string tensor = VarintField(1, 1) + BytesField(4, std::string(300'000, 'x'));
  const std::string request = MapEntryField(2, "x", tensor);
  RestBody body(RestFormat::kProtobuf, request.size());
  AppendInPieces(request, 65'536, &body);
  const ByteBuffer bytes = std::move(body).Take();
  EXPECT_EQ(bytes.view(), request);
  EXPECT_TRUE(IsAligned(bytes.data() + request.size() - 300'000));
}

TEST(RestBodyTest, DroppedBodyIsGone) {
  RestBody body(RestFormat::kJson, std::nullopt);
  AppendInPieces(std::string(2'000'000, 'x'), 65'536, &body);
  std::move(body).Drop();
  EXPECT_EQ(body.view(), "");
}

}  // namespace
}  // namespace fastserve
