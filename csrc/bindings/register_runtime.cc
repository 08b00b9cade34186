#include <pybind11/stl.h>

#include "bindings/registry.h"
#include "bindings/servable_handle.h"
#include "serving/warm_up.h"
#include "session/lite_session.h"
#include "session/tf_api.h"

namespace py = pybind11;

namespace fastserve {
namespace {

// The process's TensorFlow; the C++ object lives for ever, Python's holds a pointer.
struct Runtime {
  const TfApi* api;
};

Runtime LoadRuntime(const std::string& directory) { return {ValueOrThrow(TfApi::Load(directory))}; }

void LoadLibrary(const Runtime& runtime, const std::string& path) {
  ThrowIfError(LoadOpLibrary(*runtime.api, path));
}

// Rules, and the scheduler whose threads run the batches.
using BatchingArgument = std::pair<std::shared_ptr<BatchPolicy>, std::shared_ptr<BatchScheduler>>;

std::optional<Batching> ToBatching(std::optional<BatchingArgument> argument) {
  if (!argument) return std::nullopt;
  return Batching{std::move(argument->first), std::move(argument->second)};
}

// The handle of what `make` makes, given what to call once it is unloaded.
template <class Make>
ServableHandle Hold(Make make) {
  auto unloaded = std::make_shared<std::promise<void>>();
  auto future = unloaded->get_future().share();
  return {ValueOrThrow(make([unloaded] { unloaded->set_value(); })), std::move(future)};
}

ServableHandle LoadServable(const Runtime& runtime, std::string name, int64_t version,
                            std::string path, std::vector<std::string> tags,
                            std::string config_proto, std::vector<std::string> devices, bool twin,
                            std::optional<BatchingArgument> batching) {
  return Hold([&](std::function<void()> on_unloaded) {
    return Servable::Load(*runtime.api, std::move(name), version,
                          {.directory = std::move(path),
                           .tags = std::move(tags),
                           .config_proto = std::move(config_proto),
                           .devices = std::move(devices),
                           .twin = twin},
                          ToBatching(std::move(batching)), std::move(on_unloaded));
  });
}

ServableHandle MakeLiteServable(const Runtime& runtime, std::string name, int64_t version,
                                std::string meta_graph_def,
                                const std::vector<std::tuple<std::string, int, int>>& tensors,
                                std::shared_ptr<LiteQueue> queue,
                                std::optional<BatchingArgument> batching) {
  std::vector<LiteTensor> typed;
  for (const auto& [tensor_name, dtype, graph] : tensors) {
    typed.push_back({tensor_name, static_cast<DataType>(dtype), graph});
  }
  auto session = std::make_unique<LiteSession>(*runtime.api, std::move(meta_graph_def),
                                               std::move(typed), std::move(queue));
  return Hold([&](std::function<void()> on_unloaded) {
    return Servable::Make(std::move(session), std::move(name), version,
                          ToBatching(std::move(batching)), std::move(on_unloaded));
  });
}

void WarmUpServable(const ServableHandle& self, const std::string& method, std::string_view request,
                    bool check_method_names) {
  const ByteBuffer bytes = ByteBuffer::Copy(request);
  ThrowIfError(
      WarmUp(*ValueOrThrow(self.Get()), method, bytes, {.check_method_names = check_method_names}));
}

void RegisterBatching(py::module_& module) {
  py::class_<BatchingOptions>(module, "BatchingOptions")
      .def(py::init<>())
      .def_readwrite("max_batch_size", &BatchingOptions::max_batch_size)
      .def_property(
          "batch_timeout_micros",
          [](const BatchingOptions& self) { return self.batch_timeout.count(); },
          [](BatchingOptions& self, int64_t value) {
            self.batch_timeout = std::chrono::microseconds(value);
          })
      .def_readwrite("max_enqueued_batches", &BatchingOptions::max_enqueued_batches)
      .def_readwrite("allowed_batch_sizes", &BatchingOptions::allowed_batch_sizes)
      .def_readwrite("pad_variable_length_inputs", &BatchingOptions::pad_variable_length_inputs)
      .def_readwrite("enable_large_batch_splitting", &BatchingOptions::enable_large_batch_splitting)
      .def_readwrite("max_execution_batch_size", &BatchingOptions::max_execution_batch_size);

  py::class_<BatchPolicy, std::shared_ptr<BatchPolicy>>(module, "BatchPolicy")
      .def(py::init([](BatchPolicy::Options options) {
             ThrowIfError(BatchPolicy::Validate(options));
             return std::make_shared<BatchPolicy>(std::move(options));
           }),
           py::arg("options"))
      .def(
          "set",
          [](BatchPolicy& self, BatchPolicy::Options options) {
            ThrowIfError(self.Set(std::move(options)));
          },
          py::arg("options"), "Changes the options for requests that come from now on.");

  py::class_<BatchScheduler, std::shared_ptr<BatchScheduler>>(module, "BatchScheduler")
      .def(py::init<int, const std::string&, int>(), py::arg("threads"), py::arg("name"),
           py::kw_only(), py::arg("spare_threads"))
      .def("stop_waiting", &BatchScheduler::StopWaiting, py::call_guard<py::gil_scoped_release>(),
           "No batch waits for its timeout any more.")
      .def("stop", &BatchScheduler::Stop, py::call_guard<py::gil_scoped_release>(),
           "Runs what waits, then takes no more.");
}

}  // namespace

void RegisterRuntime(py::module_& module) {
  RegisterBatching(module);
  py::class_<Runtime>(module, "Runtime")
      .def_static("load", &LoadRuntime, py::arg("tensorflow_dir"),
                  py::call_guard<py::gil_scoped_release>(),
                  "Opens libtensorflow under the installed `tensorflow` package's directory.")
      .def_property_readonly("version",
                             [](const Runtime& runtime) { return runtime.api->version(); })
      .def("load_library", &LoadLibrary, py::arg("path"), py::call_guard<py::gil_scoped_release>(),
           "Loads a library of custom ops, for models loaded afterwards.");

  py::class_<ServableHandle>(module, "Servable")
      .def_static("load", &LoadServable, py::arg("runtime"), py::kw_only(), py::arg("name"),
                  py::arg("version"), py::arg("path"), py::arg("tags"),
                  py::arg("config_proto") = py::bytes(), py::arg("devices") = py::tuple(),
                  py::arg("twin") = false, py::arg("batching") = py::none(),
                  py::call_guard<py::gil_scoped_release>(),
                  "Loads a SavedModel; blocks, without the GIL, until it can run.")
      .def_static("make_lite", &MakeLiteServable, py::arg("runtime"), py::kw_only(),
                  py::arg("name"), py::arg("version"), py::arg("meta_graph_def"),
                  py::arg("tensors"), py::arg("queue"), py::arg("batching") = py::none(),
                  py::call_guard<py::gil_scoped_release>(),
                  "Makes a servable of a TensorFlow Lite model that is run through `queue`.")
      .def_property_readonly(
          "name", [](const ServableHandle& self) { return ValueOrThrow(self.Get())->name(); })
      .def_property_readonly(
          "version", [](const ServableHandle& self) { return ValueOrThrow(self.Get())->version(); })
      .def_property_readonly("signature_def_map",
                             [](const ServableHandle& self) {
                               return ToBytes(ValueOrThrow(self.Get())->signature_def_map());
                             })
      .def("warm_up", &WarmUpServable, py::arg("method"), py::arg("request"), py::kw_only(),
           py::arg("check_method_names") = false, py::call_guard<py::gil_scoped_release>(),
           "Answers a serialized request as if a client had sent it.")
      .def("release", &ServableHandle::Release, py::call_guard<py::gil_scoped_release>(),
           "Gives up this handle's reference.")
      .def(
          "wait_unloaded",
          [](const ServableHandle& self, double timeout_s) {
            return self.WaitUnloaded(std::chrono::duration<double>(timeout_s));
          },
          py::arg("timeout_s"), py::call_guard<py::gil_scoped_release>(),
          "Waits until the session is freed; False when that took longer.");
}

}  // namespace fastserve
