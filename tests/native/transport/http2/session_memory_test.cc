#include "transport/http2/session_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace fastserve {
namespace {

constexpr size_t kSession = 2928;
constexpr size_t kFrameBuffer = 16394;

TEST(SessionMemoryTest, FrameBufferBeginsOnTheSessionsPage) {
  SessionMemory memory;
  const nghttp2_mem functions = memory.functions();
  void* const session = functions.calloc(1, kSession, functions.mem_user_data);
  void* const table = functions.malloc(4096, functions.mem_user_data);
  void* const buffer = functions.malloc(kFrameBuffer, functions.mem_user_data);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(session) % 4096, 0u);
  EXPECT_EQ(static_cast<char*>(buffer) - static_cast<char*>(session), ptrdiff_t{kSession});
  EXPECT_EQ(std::string(kSession, 0), std::string(static_cast<char*>(session), kSession));
  std::memset(table, 't', 4096);
  std::memset(buffer, 'b', kFrameBuffer);
  EXPECT_EQ(std::string(kSession, 0), std::string(static_cast<char*>(session), kSession));
  for (void* const block : {buffer, table, session}) {
    functions.free(block, functions.mem_user_data);
  }
}

TEST(SessionMemoryTest, ReallocatedMemoryKeepsItsBytes) {
  SessionMemory memory;
  const nghttp2_mem functions = memory.functions();
  functions.calloc(1, kSession, functions.mem_user_data);
  for (const size_t size : {size_t{1}, size_t{100}, size_t{5000}, kFrameBuffer, kFrameBuffer}) {
    const std::string bytes(size, 'x');
    void* block = functions.malloc(size, functions.mem_user_data);
    std::memcpy(block, bytes.data(), size);
    block = functions.realloc(block, size + 1000, functions.mem_user_data);
    EXPECT_EQ(std::string(static_cast<char*>(block), size), bytes);
    block = functions.realloc(block, size / 2 + 1, functions.mem_user_data);
    EXPECT_EQ(std::string(static_cast<char*>(block), size / 2), bytes.substr(0, size / 2));
    functions.free(block, functions.mem_user_data);
  }
  functions.free(nullptr, functions.mem_user_data);
}

}  // namespace
}  // namespace fastserve
