#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/grpc/compression.h"

namespace fastserve {

// A failed Status on its way to Python, where it arrives as NativeError.
class StatusError : public std::exception {
 public:
  explicit StatusError(Status status) : status_(std::move(status)) {}
  const Status& status() const { return status_; }
  const char* what() const noexcept override { return status_.message().c_str(); }

 private:
  Status status_;
};

// The value of `result`; throws StatusError when there is none.
template <class T>
T ValueOrThrow(Result<T> result) {
  if (!result.ok()) throw StatusError(result.status());
  return std::move(*result);
}

inline void ThrowIfError(Status status) {
  if (!status.ok()) throw StatusError(std::move(status));
}

// Each adds one concept to the module.
void RegisterErrors(pybind11::module_& module);
void RegisterRuntime(pybind11::module_& module);
void RegisterOptions(pybind11::module_& module);
void RegisterRpc(pybind11::module_& module);
void RegisterServer(pybind11::module_& module);

// Python's number for it is grpcio's. Throws a ValueError for a number without a meaning.
Compression CompressionByNumber(int number);

inline pybind11::bytes ToBytes(ByteView view) { return pybind11::bytes(view.data(), view.size()); }

}  // namespace fastserve
