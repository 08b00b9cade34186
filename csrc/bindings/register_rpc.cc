#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>

#include "bindings/registry.h"
#include "serving/rpc_queue.h"

namespace py = pybind11;

namespace fastserve {
namespace {

bool IsBinary(std::string_view key) { return key.ends_with("-bin"); }

py::list ToPython(const Metadata& metadata) {
  py::list pairs;
  for (const auto& [key, value] : metadata) {
    py::object item = ToBytes(value);
    if (!IsBinary(key)) item = item.attr("decode")("ascii", "replace");
    pairs.append(py::make_tuple(key, item));
  }
  return pairs;
}

Metadata FromPython(const py::sequence& pairs) {
  Metadata metadata;
  for (const py::handle pair : pairs) {
    const auto entry = py::cast<py::sequence>(pair);
    metadata.emplace_back(py::cast<std::string>(entry[0]), py::cast<std::string>(entry[1]));
  }
  return metadata;
}

std::optional<double> TimeRemaining(const BlockingCall& self) {
  const auto deadline = self.call().deadline();
  if (!deadline) return std::nullopt;
  const std::chrono::duration<double> left = *deadline - Call::Clock::now();
  return std::max(left.count(), 0.0);
}

std::optional<py::bytes> Receive(BlockingCall& self) {
  std::optional<ByteBuffer> message;
  {
    const py::gil_scoped_release unlocked;
    message = ValueOrThrow(self.Receive());
  }
  if (!message) return std::nullopt;
  return ToBytes(message->view());
}

void Send(BlockingCall& self, std::string_view message, bool compress) {
  const py::gil_scoped_release unlocked;
  ByteChain chain;
  chain.Append(message);
  if (Status status = self.Send(std::move(chain), compress); !status.ok())
    throw StatusError(status);
}

void Finish(BlockingCall& self, int code, std::string details, const py::sequence& trailing) {
  Metadata metadata = FromPython(trailing);
  const py::gil_scoped_release unlocked;
  self.call().Finish(Status(static_cast<StatusCode>(code), std::move(details)),
                     std::move(metadata));
}

}  // namespace

void RegisterRpc(py::module_& module) {
  py::class_<BlockingCall, BlockingCallPtr>(module, "RpcCall")
      .def_property_readonly("path", [](const BlockingCall& self) { return self.call().path(); })
      .def_property_readonly("peer", [](const BlockingCall& self) { return self.call().peer(); })
      .def_property_readonly(
          "metadata", [](const BlockingCall& self) { return ToPython(self.call().metadata()); })
      .def("time_remaining", &TimeRemaining, "Seconds to the client's deadline; None without one.")
      .def(
          "is_active", [](const BlockingCall& self) { return !self.call().done(); },
          "False once nobody waits for an answer.")
      .def("receive", &Receive, "The next request message, or None after the last one.")
      .def(
          "send_initial_metadata",
          [](const BlockingCall& self, const py::sequence& metadata) {
            self.call().SendInitialMetadata(FromPython(metadata));
          },
          py::arg("metadata"), "Sends initial metadata, before any message.")
      .def(
          "set_compression",
          [](BlockingCall& self, int number) {
            self.call().SetCompression(CompressionByNumber(number));
          },
          py::arg("number"), "Compresses messages from now on, if the client accepts it.")
      .def("send_message", &Send, py::arg("message"), py::arg("compress") = true,
           "Sends one message; waits while too much is buffered.")
      .def("finish", &Finish, py::arg("code"), py::arg("details"), py::arg("trailing"),
           "Ends the call with a status.");
}

}  // namespace fastserve
