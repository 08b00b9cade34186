#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "metrics/request_trace.h"
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
void RegisterLite(pybind11::module_& module);  // before RegisterRuntime, which names its types
void RegisterMetrics(pybind11::module_& module);
void RegisterRuntime(pybind11::module_& module);
void RegisterOptions(pybind11::module_& module);
void RegisterRpc(pybind11::module_& module);
void RegisterServer(pybind11::module_& module);

// Python's number for it is grpcio's. Throws a ValueError for a number without a meaning.
Compression CompressionByNumber(int number);

inline std::chrono::milliseconds ToMilliseconds(double seconds) {
  const std::chrono::duration<double> exact(seconds);
  return std::chrono::duration_cast<std::chrono::milliseconds>(exact);
}

// What _native.pyi calls a Trace.
pybind11::tuple ToPython(const RequestTrace& trace);

inline pybind11::bytes ToBytes(ByteView view) { return pybind11::bytes(view.data(), view.size()); }

// `text` as a str; what is no UTF-8 becomes lone surrogates.
inline pybind11::object TextOf(std::string_view text) {
  return pybind11::reinterpret_steal<pybind11::object>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

}  // namespace fastserve
