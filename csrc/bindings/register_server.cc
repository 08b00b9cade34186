#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <new>
#include <variant>

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

ApiMethod MethodByName(std::string_view name) {
  if (name == "predict") return ApiMethod::kPredict;
  if (name == "classify") return ApiMethod::kClassify;
  if (name == "regress") return ApiMethod::kRegress;
  throw py::value_error("the method is \"" + std::string(name) +
                        "\"; it must be \"predict\", \"classify\" or \"regress\"");
}

RestFormat FormatByName(std::string_view name) {
  if (name == "json") return RestFormat::kJson;
  if (name == "protobuf") return RestFormat::kProtobuf;
  if (name == "npy") return RestFormat::kNpy;
  throw py::value_error("the format is \"" + std::string(name) +
                        "\"; it must be \"json\", \"protobuf\" or \"npy\"");
}

Access AccessByName(std::string_view name) {
  if (name == "predict") return Access::kPredict;
  if (name == "administer") return Access::kAdminister;
  throw py::value_error("the access is \"" + std::string(name) +
                        "\"; it must be \"predict\" or \"administer\"");
}

const char* NameOf(RestFormat format) {
  switch (format) {
    case RestFormat::kProtobuf:
      return "protobuf";
    case RestFormat::kNpy:
      return "npy";
    case RestFormat::kJson:
      break;
  }
  return "json";
}

py::buffer_info ReadOnly(ByteView bytes) {
  return {const_cast<char*>(bytes.data()), static_cast<py::ssize_t>(bytes.size()), true};
}

// An answer's body in its own memory, to be shown as a memoryview.
struct AnswerBytes {
  std::string bytes;
};

// A long body is shown where it is, a short one is copied.
py::object ToPython(std::string body) {
  constexpr size_t kCopiedBytes = 64 * 1024;
  if (body.size() < kCopiedBytes) return ToBytes(body);
  return py::memoryview(py::cast(AnswerBytes{std::move(body)}));
}

py::tuple ToPython(RestAnswer answer) {
  return py::make_tuple(static_cast<int>(answer.code), ToPython(std::move(answer.body)),
                        NameOf(answer.format), ToBytes(answer.hint),
                        answer.trace ? py::object(ToPython(*answer.trace)) : py::none());
}

// A body in Python's hands, until a request takes it.
class BodyHandle {
 public:
  BodyHandle(std::string_view format, std::optional<size_t> expected_size)
      : body_(RestBody(FormatByName(format), expected_size)) {}

  RestBody& Get() {
    if (!body_) throw py::value_error("the body has been taken by a request");
    return *body_;
  }
  RestBody Take() {
    RestBody body = std::move(Get());
    body_.reset();
    return body;
  }
  void Append(std::string_view piece) {
    if (!Get().Append(piece)) throw std::bad_alloc();  // MemoryError
  }

 private:
  std::optional<RestBody> body_;
};

py::object AnswerRest(Server& self, int64_t token, std::string_view method, std::string model,
                      std::optional<int64_t> version, std::optional<std::string> label,
                      std::variant<std::string_view, BodyHandle*> body, std::string_view format,
                      bool wants_json, std::optional<double> timeout_s, bool traced) {
  RestRequest request{.token = token,
                      .method = MethodByName(method),
                      .model = std::move(model),
                      .version = version,
                      .label = std::move(label),
                      .deadline = std::nullopt,
                      .format = FormatByName(format),
                      .wants_json = wants_json,
                      .traced = traced};
  if (timeout_s) {
    request.deadline = std::chrono::steady_clock::now() + ToMilliseconds(*timeout_s);
  }
  RestBody collected = std::holds_alternative<BodyHandle*>(body)
                           ? std::get<BodyHandle*>(body)->Take()
                           : RestBody(request.format, std::get<std::string_view>(body));
  std::optional<RestAnswer> answer;
  {
    const py::gil_scoped_release unlocked;
    answer = self.rest().Answer(std::move(request), std::move(collected));
  }
  if (!answer) return py::none();
  return ToPython(std::move(*answer));
}

py::list RestCompletions(Server& self) {
  py::list completions;
  for (CompletionQueue::Completion& done : self.completions().TakeAll()) {
    completions.append(py::make_tuple(done.token, ToPython(std::move(done.answer))));
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

void RegisterBodies(py::module_& module) {
  py::class_<BodyHandle>(module, "RestBody", py::buffer_protocol())
      .def(py::init<std::string_view, std::optional<size_t>>(), py::arg("format"),
           py::arg("expected_size"))
      .def("append", &BodyHandle::Append, py::arg("piece"), "Adds a piece of the body.")
      .def("__len__", [](BodyHandle& self) { return self.Get().view().size(); })
      .def_buffer([](BodyHandle& self) { return ReadOnly(self.Get().view()); });
  py::class_<AnswerBytes>(module, "AnswerBytes", py::buffer_protocol())
      .def_buffer([](const AnswerBytes& self) { return ReadOnly(self.bytes); });
}

}  // namespace

void RegisterServer(py::module_& module) {
  RegisterBodies(module);
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
      .def(
          "set_tokens",
          [](Server& self, std::string_view access, const std::vector<std::string>& tokens) {
            ThrowIfError(self.access().SetTokens(AccessByName(access), tokens));
          },
          py::arg("access"), py::arg("tokens"), "Replaces the tokens that open an access.")
      .def(
          "check_access",
          [](Server& self, std::string_view access, std::string_view authorization) {
            ThrowIfError(self.access().Check(AccessByName(access), authorization));
          },
          py::arg("access"), py::arg("authorization"),
          "Raises NativeError when the value of `authorization` does not open an access.")
      .def("publish", &Publish, py::arg("servables"), py::arg("labels"),
           py::arg("pending") = py::dict(), "Replaces the routing table.")
      .def("next_call", &NextCall, "Waits for an RPC that no native method takes, or for its end.")
      .def("answer_rest", &AnswerRest, py::arg("token"), py::arg("method"), py::arg("model"),
           py::arg("version"), py::arg("label"), py::arg("body"), py::arg("format"),
           py::arg("wants_json"), py::arg("timeout_s"), py::arg("traced") = false,
           "Answers a REST predict, classify or regress, at once or later through "
           "rest_completions().")
      .def_property_readonly("connections", [](const Server& self) { return self.connections(); })
      .def_property_readonly("rest_completion_fd",
                             [](Server& self) { return self.completions().fd(); })
      .def("rest_completions", &RestCompletions, "Takes the finished pairs of token and answer.")
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
