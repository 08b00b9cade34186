#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <vector>

namespace fastserve {

// A vector of trivially copyable T that keeps up to N elements inside itself, so that the usual
// tensor (few dimensions) costs no allocation. Only what dimensions need: append, index, iterate.
template <class T, size_t N>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  InlineVector() = default;
  InlineVector(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }

  void push_back(const T& value) {
    if (size_ < N) {
      inline_[size_] = value;
    } else {
      if (size_ == N) spilled_.assign(inline_, inline_ + N);
      spilled_.push_back(value);
    }
    ++size_;
  }
  void clear() {
    size_ = 0;
    spilled_.clear();
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T* data() const { return size_ <= N ? inline_ : spilled_.data(); }
  T* data() { return size_ <= N ? inline_ : spilled_.data(); }
  const T& operator[](size_t i) const { return data()[i]; }
  T& operator[](size_t i) { return data()[i]; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  operator std::span<const T>() const { return {data(), size_}; }
  friend bool operator==(const InlineVector& a, const InlineVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  size_t size_ = 0;
  T inline_[N] = {};
  std::vector<T> spilled_;
};

}  // namespace fastserve
