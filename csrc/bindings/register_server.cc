#include <pybind11/stl.h>

#include <chrono>
#include <memory>

#include "bindings/registry.h"
#include "bindings/servable_handle.h"
#include "serving/server.h"

namespace py = pybind11;

namespace fastserve {
namespace {

void Publish(Server& self, const std::vector<ServableHandle*>& handles,
             const std::map<std::string, VersionLabels>& labels,
             const std::map<std::string, PendingVersions>& pending) {
  std::vector<ServablePtr> servables;
  for (const ServableHandle* handle : handles) servables.push_back(ValueOrThrow(handle->Get()));
  self.router().Publish(std::make_shared<const RoutingSnapshot>(servables, labels, pending));
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

JsonMethod MethodByName(std::string_view name) {
  if (name == "predict") return JsonMethod::kPredict;
  if (name == "classify") return JsonMethod::kClassify;
  if (name == "regress") return JsonMethod::kRegress;
  throw py::value_error("the method is \"" + std::string(name) +
                        "\"; it must be \"predict\", \"classify\" or \"regress\"");
}

py::object PredictJsonBody(Server& self, int64_t token, std::string_view method, std::string model,
                           std::optional<int64_t> version, std::optional<std::string> label,
                           std::string_view body, std::optional<double> timeout_s) {
  JsonPredictRequest request{.token = token,
                             .method = MethodByName(method),
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

py::list TakeCaptured(Server& self, double timeout_s) {
  std::vector<std::string> requests;
  {
    const py::gil_scoped_release unlocked;
    requests = self.tap().Take(ToMilliseconds(timeout_s));
  }
  py::list captured;
  for (const std::string& request : requests) captured.append(ToBytes(request));
  return captured;
}

}  // namespace

void RegisterServer(py::module_& module) {
  // The destructor joins threads, which must not wait for the GIL that it would hold.
  py::class_<Server>(module, "Server", py::release_gil_before_calling_cpp_dtor())
      .def(py::init<const ServerOptions&>(), py::arg("options"))
      .def(
          "start", [](Server& self) { return ValueOrThrow(self.Start()); },
          py::call_guard<py::gil_scoped_release>(),
          "Binds and serves; returns the bound TCP ports.")
      .def(
          "set_tls",
          [](Server& self, std::string key, std::string cert, std::string roots, bool verify) {
            ThrowIfError(self.SetTls({.server_key = std::move(key),
                                      .server_cert = std::move(cert),
                                      .client_roots = std::move(roots),
                                      .verify_clients = verify}));
          },
          py::kw_only(), py::arg("server_key"), py::arg("server_cert"), py::arg("client_roots"),
          py::arg("verify_clients"), "New connections to the gRPC port speak TLS.")
      .def("publish", &Publish, py::arg("servables"), py::arg("labels"),
           py::arg("pending") = py::dict(), "Replaces the routing table.")
      .def("next_call", &NextCall, "Waits for an RPC that no native method takes, or for its end.")
      .def("predict_json", &PredictJsonBody, py::arg("token"), py::arg("method"), py::arg("model"),
           py::arg("version"), py::arg("label"), py::arg("body"), py::arg("timeout_s"),
           "Answers a REST predict, classify or regress, at once or later through "
           "json_completions().")
      .def_property_readonly("connections", [](const Server& self) { return self.connections(); })
      .def_property_readonly("json_completion_fd",
                             [](Server& self) { return self.completions().fd(); })
      .def("json_completions", &JsonCompletions, "Takes the finished (token, code, body) triples.")
      .def(
          "start_capture",
          [](Server& self, std::string model, size_t limit) {
            ThrowIfError(self.tap().Start(std::move(model), limit));
          },
          py::arg("model"), py::arg("limit"), "Begins to copy the Predicts that a model answers.")
      .def("take_captured", &TakeCaptured, py::arg("timeout_s"),
           "Takes the captured requests; waits for the first one.")
      .def(
          "stop_capture", [](Server& self) { return self.tap().Stop(); },
          "Ends the capture; answers how many requests were dropped.")
      .def(
          "drain_grpc",
          [](Server& self, double grace_s) { return self.DrainGrpc(ToMilliseconds(grace_s)); },
          py::arg("grace_s"), py::call_guard<py::gil_scoped_release>(),
          "Finishes the gRPC calls in flight for up to grace_s; REST goes on. True when nothing "
          "was "
          "cut off.")
      .def(
          "shutdown",
          [](Server& self, double grace_s) { return self.Shutdown(ToMilliseconds(grace_s)); },
          py::arg("grace_s"), py::call_guard<py::gil_scoped_release>(),
          "Finishes what is in flight for up to grace_s, then stops. True when nothing was cut "
          "off.");
}

}  // namespace fastserve
