#include "base/byte_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

uintptr_t Address(const char* data) { return reinterpret_cast<uintptr_t>(data); }

TEST(ByteBufferTest, IsAlignedAtItsStart) {
  for (size_t size : {0, 1, 63, 64, 1000}) {
    const ByteBuffer buffer = ByteBuffer::Allocate(size);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(Address(buffer.data()) % kTensorAlignment, 0u);
  }
}

TEST(ByteBufferTest, IsAlignedAtTheOffsetAskedFor) {
  for (size_t offset = 0; offset < 200; ++offset) {
    const ByteBuffer buffer = ByteBuffer::Allocate(256, offset);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(Address(buffer.data() + offset) % kTensorAlignment, 0u) << offset;
  }
}

TEST(ByteBufferTest, AllOfItsBytesCanBeWrittenForAnyOffset) {
  for (size_t offset = 0; offset < 128; ++offset) {
    const ByteBuffer buffer = ByteBuffer::Allocate(77, offset);
    std::fill(buffer.data(), buffer.data() + buffer.size(), 'x');  // the sanitizers look on
    EXPECT_EQ(buffer.view(), std::string(77, 'x'));
  }
}

TEST(ByteBufferTest, IsEmptyWhenTheSizeCannotBeHad) {
  EXPECT_FALSE(ByteBuffer::Allocate(SIZE_MAX));
  EXPECT_FALSE(ByteBuffer::Allocate(SIZE_MAX - kTensorAlignment));
}

TEST(ByteBufferTest, DefaultHasNoBytes) {
  const ByteBuffer buffer;
  EXPECT_FALSE(buffer);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_TRUE(buffer.view().empty());
}

TEST(ByteBufferTest, CopyOwnsItsBytes) {
  std::string text = "bytes";
  const ByteBuffer buffer = ByteBuffer::Copy(text);
  text = "other";
  EXPECT_EQ(buffer.view(), "bytes");
  EXPECT_TRUE(ByteBuffer::Copy({}));
}

TEST(ByteBufferTest, CopiesShareBytesThatOutliveTheFirstHandle) {
  ByteBuffer first = ByteBuffer::Copy("shared");
  const ByteBuffer second = first;
  EXPECT_EQ(second.data(), first.data());
  first = ByteBuffer();
  EXPECT_EQ(second.view(), "shared");
}

TEST(ByteBufferTest, MoveLeavesNothingBehind) {
  ByteBuffer first = ByteBuffer::Copy("moved");
  const ByteBuffer second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_EQ(second.view(), "moved");
}

TEST(ByteBufferTest, SelfAssignmentKeepsTheBytes) {
  ByteBuffer buffer = ByteBuffer::Copy("self");
  const ByteBuffer& same = buffer;
  buffer = same;
  EXPECT_EQ(buffer.view(), "self");
}

TEST(ByteBufferTest, ReleasedReferenceKeepsTheBytesUntilItIsGivenBack) {
  ByteBuffer buffer = ByteBuffer::Copy("lent");
  void* released = buffer.Release();
  EXPECT_FALSE(buffer);
  EXPECT_EQ(ByteBuffer::Adopt(released).view(), "lent");
  released = ByteBuffer::Copy("dropped").Release();
  ByteBuffer::Drop(released);  // the leak checker looks on
}

TEST(ByteBufferTest, TruncatedBufferShowsItsFirstBytes) {
  ByteBuffer buffer = ByteBuffer::Copy("some bytes");
  buffer.Truncate(4);
  EXPECT_EQ(buffer.view(), "some");
  ByteBuffer().Truncate(0);
}

TEST(ByteBufferTest, HandlesMayBeCopiedAndDroppedOnManyThreads) {
  const ByteBuffer buffer = ByteBuffer::Copy("many");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([copy = buffer] {
      for (int round = 0; round < 1000; ++round) {
        const ByteBuffer another = copy;
        ASSERT_EQ(another.view(), "many");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(buffer.view(), "many");
}

}  // namespace
}  // namespace fastserve
