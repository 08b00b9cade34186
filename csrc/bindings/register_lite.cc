#include <pybind11/stl.h>

#include "bindings/registry.h"
#include "session/lite_session.h"

namespace py = pybind11;

namespace fastserve {
namespace {

py::object Elements(const HostTensor& tensor) {
  if (tensor.dtype != DataType::kString) {
    const char* const data = tensor.data.empty() ? "" : tensor.data.data();  // never null
    return py::memoryview::from_memory(data, static_cast<py::ssize_t>(tensor.data.size()));
  }
  py::list strings;
  for (const std::string_view string : tensor.strings) strings.append(ToBytes(string));
  return strings;
}

py::list Inputs(const LiteRun& self) {
  py::list inputs;
  for (const auto& [tensor, value] : self.inputs()) {
    py::tuple shape(value.dims.size());
    for (size_t i = 0; i < value.dims.size(); ++i) shape[i] = value.dims[i];
    inputs.append(py::make_tuple(tensor, shape, Elements(value)));
  }
  return inputs;
}

using Output = std::pair<std::vector<int64_t>, py::object>;  // the shape and the elements

// `buffer` holds the memory that the tensor borrows, and so does `elements`.
HostTensor View(const Output& output, py::buffer_info& buffer) {
  const auto& [shape, elements] = output;
  HostTensor tensor;
  for (const int64_t extent : shape) tensor.dims.push_back(extent);
  if (py::isinstance<py::list>(elements)) {
    for (const py::handle string : elements) {
      tensor.strings.push_back(py::cast<std::string_view>(string));
    }
  } else {
    buffer = py::cast<py::buffer>(elements).request();
    tensor.data = {static_cast<const char*>(buffer.ptr),
                   static_cast<size_t>(buffer.size * buffer.itemsize)};
  }
  return tensor;
}

void Finish(LiteRun& self, const std::vector<Output>& outputs) {
  std::vector<py::buffer_info> buffers(outputs.size());
  std::vector<HostTensor> values;
  for (size_t i = 0; i < outputs.size(); ++i) values.push_back(View(outputs[i], buffers[i]));
  const py::gil_scoped_release unlocked;
  self.Finish(std::move(values));
}

}  // namespace

void RegisterLite(py::module_& module) {
  py::class_<LiteRun>(module, "LiteRun")
      .def_property_readonly("graph", &LiteRun::graph)
      .def_property_readonly("inputs", &Inputs)
      .def_property_readonly("outputs", &LiteRun::outputs)
      .def("finish", &Finish, py::arg("outputs"), "Ends the run with a value for each output.")
      .def(
          "fail",
          [](LiteRun& self, int code, std::string message) {
            self.Fail(Status(static_cast<StatusCode>(code), std::move(message)));
          },
          py::arg("code"), py::arg("message"), "Ends the run with an error.");

  py::class_<LiteQueue, std::shared_ptr<LiteQueue>>(module, "LiteQueue")
      .def(py::init<>())
      .def("next", &LiteQueue::Next, py::call_guard<py::gil_scoped_release>(),
           "Waits for a run; None after the model's end.")
      .def("enter", &LiteQueue::Enter, "Counts a thread that is about to have an interpreter.")
      .def("leave", &LiteQueue::Leave, "That thread's interpreter is freed.");
}

}  // namespace fastserve
