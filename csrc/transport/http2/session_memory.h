#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace fastserve {

// The memory of one nghttp2 session. Streams, frames on their way out and header fields come and go
// with every request: they are the BlockPool's. The session itself and the buffer in which it puts
// frames together share one block: of the buffer's 16 KiB few are ever written to, so the block
// takes one page of memory, and the other four are address space only.
// Owner: the Http2Session; it outlives the nghttp2 session.
class SessionMemory {
 public:
  SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  // For nghttp2_session_server_new3(), which copies it.
  nghttp2_mem functions();

 private:
  struct Freed {
    void operator()(char* block) const { std::free(block); }
  };

  static void* Allocate(size_t size, void* self);
  static void Free(void* memory, void* self);
  static void* AllocateZeros(size_t count, size_t size, void* self);
  static void* Reallocate(void* memory, size_t size, void* self);
  void* AllocateLarge(size_t size);
  // How many bytes of the block begin at `memory`; 0 when that lies elsewhere.
  size_t LeftInBlock(const void* memory) const;

  const std::unique_ptr<char, Freed> block_;  // null when memory is short
  size_t used_ = 0;
};

}  // namespace fastserve
