#include "base/byte_buffer.h"

#include <cstring>
#include <new>

#include "base/block_pool.h"

namespace fastserve {

ByteBuffer ByteBuffer::Allocate(size_t size, size_t aligned_offset) {
  ByteBuffer buffer;
  const size_t overhead = sizeof(Block) + kTensorAlignment;
  if (size > SIZE_MAX - overhead) return buffer;
  void* memory = BlockPool::Allocate(size + overhead);
  if (memory == nullptr) return buffer;
  char* first = static_cast<char*>(memory) + sizeof(Block);
  const auto aligned = reinterpret_cast<uintptr_t>(first) + aligned_offset;
  const size_t slack = (kTensorAlignment - aligned % kTensorAlignment) % kTensorAlignment;
  buffer.block_ = new (memory) Block{1, size + overhead, size, first + slack};
  return buffer;
}

ByteBuffer ByteBuffer::Copy(ByteView bytes) {
  ByteBuffer buffer = Allocate(bytes.size());
  if (buffer && !bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}

ByteBuffer ByteBuffer::Adopt(void* released) {
  ByteBuffer buffer;
  buffer.block_ = static_cast<Block*>(released);
  return buffer;
}

void ByteBuffer::Unref(Block* block) {
  if (block == nullptr) return;
  if (block->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const size_t allocated = block->allocated;
  block->~Block();
  BlockPool::Free(block, allocated);
}

}  // namespace fastserve
