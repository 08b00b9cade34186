#include <pybind11/stl.h>

#include <chrono>
#include <memory>

#include "bindings/registry.h"
#include "bindings/servable_handle.h"
#include "serving/server.h"

namespace py = pybind11;

namespace fastserve {
namespace {

using Milliseconds = std::chrono::milliseconds;

Milliseconds ToMilliseconds(double seconds) {
  return std::chrono::duration_cast<Milliseconds>(std::chrono::duration<double>(seconds));
}

void Publish(Server& self, const std::vector<ServableHandle*>& handles,
             const std::map<std::string, VersionLabels>& labels) {
  std::vector<ServablePtr> servables;
  for (const ServableHandle* handle : handles) servables.push_back(ValueOrThrow(handle->Get()));
  self.router().Publish(std::make_shared<const RoutingSnapshot>(servables, labels));
}

py::object NextCall(Server& self) {
  std::optional<RpcQueue::Event> event;
  {
    const py::gil_scoped_release unlocked;
    event = self.rpcs().Next();
  }
  if (!event) return py::none();
  return py::make_tuple(std::move(event->call), event->started);
}

py::object PredictJsonBody(Server& self, int64_t token, std::string model,
                           std::optional<int64_t> version, std::optional<std::string> label,
                           std::string_view body, std::optional<double> timeout_s) {
  JsonPredictRequest request{.token = token,
                             .model = std::move(model),
                             .version = version,
                             .label = std::move(label),
                             .deadline = std::nullopt};
  if (timeout_s) {
    request.deadline = std::chrono::steady_clock::now() + ToMilliseconds(*timeout_s);
  }
  std::optional<JsonAnswer> answer;
  {
    const py::gil_scoped_release unlocked;
    answer = self.json().Predict(std::move(request), body);
  }
  if (!answer) return py::none();
  return py::make_tuple(static_cast<int>(answer->code), ToBytes(answer->body));
}

py::list JsonCompletions(Server& self) {
  py::list completions;
  for (const CompletionQueue::Completion& done : self.completions().TakeAll()) {
    completions.append(py::make_tuple(done.token, static_cast<int>(done.code), ToBytes(done.body)));
  }
  return completions;
}

void RegisterOptions(py::module_& module) {
  py::class_<ServerOptions>(module, "ServerOptions")
      .def(py::init<>())
      .def_property(
          "grpc_addresses", [](const ServerOptions& self) { return self.grpc.addresses; },
          [](ServerOptions& self, std::vector<std::string> value) {
            self.grpc.addresses = std::move(value);
          })
      .def_property(
          "io_threads", [](const ServerOptions& self) { return self.grpc.io_threads; },
          [](ServerOptions& self, int value) { self.grpc.io_threads = value; })
      .def_property(
          "max_message_bytes",
          [](const ServerOptions& self) { return self.grpc.max_message_bytes; },
          [](ServerOptions& self, size_t value) { self.grpc.max_message_bytes = value; })
      .def_readwrite("worker_threads", &ServerOptions::worker_threads)
      .def_property(
          "outputs_as_tensor_content",
          [](const ServerOptions& self) { return self.encoding == TensorEncoding::kTensorContent; },
          [](ServerOptions& self, bool value) {
            self.encoding = value ? TensorEncoding::kTensorContent : TensorEncoding::kTypedFields;
          });
}

}  // namespace

void RegisterServer(py::module_& module) {
  RegisterOptions(module);
  // The destructor joins threads, which must not wait for the GIL that it would hold.
  py::class_<Server>(module, "Server", py::release_gil_before_calling_cpp_dtor())
      .def(py::init<const ServerOptions&>(), py::arg("options"))
      .def(
          "start", [](Server& self) { return ValueOrThrow(self.Start()); },
          py::call_guard<py::gil_scoped_release>(),
          "Binds and serves; returns the bound TCP ports.")
      .def("publish", &Publish, py::arg("servables"), py::arg("labels"),
           "Replaces the routing table.")
      .def("next_call", &NextCall, "Waits for an RPC that no native method takes, or for its end.")
      .def("predict_json", &PredictJsonBody, py::arg("token"), py::arg("model"), py::arg("version"),
           py::arg("label"), py::arg("body"), py::arg("timeout_s"),
           "Answers a REST predict, at once or later through json_completions().")
      .def_property_readonly("json_completion_fd",
                             [](Server& self) { return self.completions().fd(); })
      .def("json_completions", &JsonCompletions, "Takes the finished (token, code, body) triples.")
      .def(
          "shutdown",
          [](Server& self, double grace_s) { return self.Shutdown(ToMilliseconds(grace_s)); },
          py::arg("grace_s"), py::call_guard<py::gil_scoped_release>(),
          "Finishes what is in flight for up to grace_s, then stops. True when nothing was cut "
          "off.");
}

}  // namespace fastserve
