#include <pybind11/pybind11.h>

#include "bindings/registry.h"

namespace py = pybind11;

namespace fastserve {

void RegisterErrors(py::module_& module) {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
  storage.call_once_and_store_result([&]() -> py::object {
    return py::exception<StatusError>(module, "NativeError", PyExc_RuntimeError);
  });
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const StatusError& error) {
      // Messages of models may hold any bytes; surrogates keep them.
      const py::object message = TextOf(error.status().message());
      py::object instance = storage.get_stored()(message);
      instance.attr("code") = static_cast<int>(error.status().code());
      instance.attr("message") = message;
      PyErr_SetObject(storage.get_stored().ptr(), instance.ptr());
    }
  });
}

}  // namespace fastserve

PYBIND11_MODULE(_native, module) {
  fastserve::RegisterErrors(module);
  fastserve::RegisterLite(module);
  fastserve::RegisterMetrics(module);
  fastserve::RegisterRuntime(module);
  fastserve::RegisterOptions(module);
  fastserve::RegisterRpc(module);
  fastserve::RegisterServer(module);
}
