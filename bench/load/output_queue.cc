#include "load/output_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace fastserve::bench {

void OutputQueue::Copy(std::string_view bytes) {
  if (bytes.empty()) return;
  if (pieces_.empty() || pieces_.back().borrowed) {
    pieces_.push_back({nullptr, copied_.size(), 0, nullptr});
  }
  copied_.append(bytes);
  pieces_.back().size += bytes.size();
  size_ += bytes.size();
}

void OutputQueue::Add(std::string_view bytes, const std::shared_ptr<const void>& owner) {
  if (bytes.size() < kBorrowThreshold) return Copy(bytes);
  pieces_.push_back({bytes.data(), 0, bytes.size(), owner});
  size_ += bytes.size();
}

bool OutputQueue::Flush(int fd) {
  while (!pieces_.empty()) {
    std::array<iovec, 64> vectors;
    const size_t count = std::min(vectors.size(), pieces_.size() - head_);
    for (size_t i = 0; i < count; ++i) {
      const Piece& piece = pieces_[head_ + i];
      const char* base = piece.borrowed ? piece.borrowed : copied_.data();
      vectors[i] = {const_cast<char*>(base + piece.offset), piece.size};
    }
    msghdr message = {.msg_iov = vectors.data(), .msg_iovlen = count};
    const ssize_t written = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    Consume(static_cast<size_t>(written));
  }
  return true;
}

void OutputQueue::Consume(size_t written) {
  size_ -= written;
  while (written > 0) {
    Piece& piece = pieces_[head_];
    const size_t taken = std::min(written, piece.size);
    piece.offset += taken;
    piece.size -= taken;
    written -= taken;
    if (piece.size == 0) {
      piece.owner.reset();
      ++head_;
    }
  }
  if (head_ == pieces_.size()) {
    pieces_.clear();
    copied_.clear();
    head_ = 0;
  }
}

}  // namespace fastserve::bench
