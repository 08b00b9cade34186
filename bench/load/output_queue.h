#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fastserve::bench {

// Bytes on their way to a socket, in order: small pieces are copied, large ones borrowed, and all
// leave in one writev(). Threads: one at a time.
class OutputQueue {
 public:
  void Copy(std::string_view bytes);
  // `bytes` stay valid as long as `owner`, or for ever when that is null. Below kBorrowThreshold
  // they are copied, which is cheaper.
  void Add(std::string_view bytes, const std::shared_ptr<const void>& owner);

  bool empty() const { return pieces_.empty(); }
  size_t size() const { return size_; }  // bytes not yet written

  // Writes until all is out or the kernel takes no more. False when the socket is dead.
  bool Flush(int fd);

 private:
  static constexpr size_t kBorrowThreshold = 4096;

  struct Piece {
    const char* borrowed;  // null: the bytes are copied_[offset ...]
    size_t offset;
    size_t size;
    std::shared_ptr<const void> owner;
  };

  void Consume(size_t written);

  std::string copied_;
  std::vector<Piece> pieces_;
  size_t head_ = 0;  // the first piece not yet written in full
  size_t size_ = 0;
};

}  // namespace fastserve::bench
