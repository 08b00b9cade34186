#include <pybind11/stl.h>

#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

#include "bindings/registry.h"
#include "serving/server.h"

namespace py = pybind11;

namespace fastserve {
namespace {

using Options = py::class_<ServerOptions>;

// A property that reads and writes what `at` refers to.
template <class At>
void Add(Options& options, const char* name, At at) {
  using Value = std::remove_reference_t<std::invoke_result_t<At, ServerOptions&>>;
  options.def_property(
      name, [at](ServerOptions& self) -> Value { return at(self); },
      [at](ServerOptions& self, Value value) { at(self) = std::move(value); });
}

// Likewise for a limit of ConnectionLimits, in milliseconds; None: never.
void AddLimit(Options& options, const char* name,
              ConnectionLimits::Duration ConnectionLimits::*limit) {
  using Duration = ConnectionLimits::Duration;
  options.def_property(
      name,
      [limit](ServerOptions& self) -> std::optional<int64_t> {
        const Duration value = self.grpc.connections.limits.*limit;
        if (value == ConnectionLimits::kNever) return std::nullopt;
        return value.count();
      },
      [limit](ServerOptions& self, std::optional<int64_t> value) {
        self.grpc.connections.limits.*limit = value ? Duration(*value) : ConnectionLimits::kNever;
      });
}

void AddListening(Options& options) {
  Add(options, "grpc_addresses", [](auto& self) -> auto& { return self.grpc.addresses; });
  Add(options, "unix_mode", [](auto& self) -> auto& { return self.grpc.listen.unix_mode; });
  Add(options, "reuse_port", [](auto& self) -> auto& { return self.grpc.listen.reuse_port; });
}

void AddConnections(Options& options) {
  Add(options, "max_connections", [](auto& self) -> auto& { return self.grpc.max_connections; });
  Add(options, "max_requests_in_flight",
      [](auto& self) -> auto& { return self.grpc.load.requests; });
  Add(options, "max_bytes_in_flight", [](auto& self) -> auto& { return self.grpc.load.bytes; });
  const auto add = [&options](const char* name, auto field) {
    Add(options, name,
        [field](ServerOptions& self) -> auto& { return self.grpc.connections.http2.*field; });
  };
  add("max_streams_per_connection", &Http2Limits::max_concurrent_streams);
  add("max_frame_bytes", &Http2Limits::max_frame_size);
  add("max_metadata_bytes", &Http2Limits::max_header_list_bytes);
  add("reset_burst", &Http2Limits::reset_burst);
  add("resets_per_second", &Http2Limits::resets_per_second);
  const auto add_rate = [&options](const char* burst, const char* per_second, auto rate) {
    Add(options, burst,
        [rate](ServerOptions& self) -> auto& { return (self.grpc.connections.http2.*rate).burst; });
    Add(options, per_second, [rate](ServerOptions& self) -> auto& {
      return (self.grpc.connections.http2.*rate).per_second;
    });
  };
  add_rate("control_frame_burst", "control_frames_per_second", &Http2Limits::control_frames);
  add_rate("ping_burst", "pings_per_second", &Http2Limits::pings);
  AddLimit(options, "handshake_timeout_ms", &ConnectionLimits::handshake_timeout);
  AddLimit(options, "first_byte_timeout_ms", &ConnectionLimits::first_byte_timeout);
  AddLimit(options, "stall_timeout_ms", &ConnectionLimits::stall_timeout);
  AddLimit(options, "keepalive_time_ms", &ConnectionLimits::keepalive_time);
  AddLimit(options, "keepalive_timeout_ms", &ConnectionLimits::keepalive_timeout);
  AddLimit(options, "max_idle_ms", &ConnectionLimits::max_idle);
  AddLimit(options, "max_age_ms", &ConnectionLimits::max_age);
  AddLimit(options, "max_age_grace_ms", &ConnectionLimits::max_age_grace);
}

void AddCalls(Options& options) {
  const auto add = [&options](const char* name, auto field) {
    Add(options, name,
        [field](ServerOptions& self) -> auto& { return self.grpc.connections.calls.*field; });
  };
  add("max_message_bytes", &CallOptions::max_message_bytes);
  add("max_sent_message_bytes", &CallOptions::max_sent_message_bytes);
  add("max_buffered_bytes", &CallOptions::max_buffered_bytes);
  options.def_property(
      "compression",
      [](const ServerOptions& self) {
        return static_cast<int>(self.grpc.connections.calls.compression);
      },
      [](ServerOptions& self, int value) {
        self.grpc.connections.calls.compression = CompressionByNumber(value);
      });
}

}  // namespace

Compression CompressionByNumber(int number) {
  if (number < 0 || number > static_cast<int>(Compression::kGzip)) {
    throw py::value_error("a compression is 0 (none), 1 (deflate) or 2 (gzip)");
  }
  return static_cast<Compression>(number);
}

void RegisterOptions(py::module_& module) {
  Options options(module, "ServerOptions");
  options.def(py::init<>());
  AddListening(options);
  AddConnections(options);
  AddCalls(options);
  Add(options, "io_threads", [](auto& self) -> auto& { return self.grpc.io_threads; });
  Add(options, "worker_threads", [](auto& self) -> auto& { return self.worker_threads; });
  Add(options, "authenticate", [](auto& self) -> auto& { return self.authenticate; });
  options.def_property(
      "outputs_as_tensor_content",
      [](const ServerOptions& self) { return self.encoding == TensorEncoding::kTensorContent; },
      [](ServerOptions& self, bool value) {
        self.encoding = value ? TensorEncoding::kTensorContent : TensorEncoding::kTypedFields;
      });
  Add(options, "check_method_names",
      [](auto& self) -> auto& { return self.inference.check_method_names; });
}

}  // namespace fastserve
