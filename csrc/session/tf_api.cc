#include "session/tf_api.h"

#include <dlfcn.h>

namespace fastserve {
namespace {

// Lazy binding: the library has a hundred thousand symbols, of which a run needs few. Local: its
// bundled libraries' symbols must not be seen by anything else in the process.
constexpr int kFlags = RTLD_LAZY | RTLD_LOCAL;

Result<void*> Open(const std::string& path) {
  void* library = ::dlopen(path.c_str(), kFlags);
  if (library == nullptr) {
    return Status::NotFound("cannot open TensorFlow's library " + path + ": " + ::dlerror());
  }
  return library;
}

template <class Function>
Status Find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function != nullptr) return {};
  return Status::FailedPrecondition(std::string("the installed TensorFlow has no ") + name +
                                    "; fastserve needs TensorFlow 2.16 or newer");
}

Status FindAll(void* library, TfApi& api) {
#define FASTSERVE_FIND(name) FASTSERVE_RETURN_IF_ERROR(Find(library, "TF_" #name, api.name))
  FASTSERVE_FIND(Version);
  FASTSERVE_FIND(NewStatus);
  FASTSERVE_FIND(DeleteStatus);
  FASTSERVE_FIND(GetCode);
  FASTSERVE_FIND(Message);
  FASTSERVE_FIND(NewBuffer);
  FASTSERVE_FIND(DeleteBuffer);
  FASTSERVE_FIND(NewTensor);
  FASTSERVE_FIND(AllocateTensor);
  FASTSERVE_FIND(DeleteTensor);
  FASTSERVE_FIND(TensorType);
  FASTSERVE_FIND(NumDims);
  FASTSERVE_FIND(Dim);
  FASTSERVE_FIND(TensorByteSize);
  FASTSERVE_FIND(TensorData);
  FASTSERVE_FIND(StringInit);
  FASTSERVE_FIND(StringCopy);
  FASTSERVE_FIND(StringGetDataPointer);
  FASTSERVE_FIND(StringGetSize);
  FASTSERVE_FIND(StringDealloc);
  FASTSERVE_FIND(NewGraph);
  FASTSERVE_FIND(DeleteGraph);
  FASTSERVE_FIND(GraphOperationByName);
  FASTSERVE_FIND(OperationNumOutputs);
  FASTSERVE_FIND(NewSessionOptions);
  FASTSERVE_FIND(DeleteSessionOptions);
  FASTSERVE_FIND(SetConfig);
  FASTSERVE_FIND(LoadSessionFromSavedModel);
  FASTSERVE_FIND(CloseSession);
  FASTSERVE_FIND(DeleteSession);
  FASTSERVE_FIND(SessionRun);
#undef FASTSERVE_FIND
  return {};
}

Result<TfApi> OpenLibrary(const std::string& directory) {
  // The framework library first: the other one needs it and would not find it by itself.
  const Result<void*> framework = Open(directory + "/libtensorflow_framework.so.2");
  if (!framework.ok()) return framework.status();
  const Result<void*> library = Open(directory + "/libtensorflow_cc.so.2");
  if (!library.ok()) return library.status();
  TfApi api;
  FASTSERVE_RETURN_IF_ERROR(FindAll(*library, api));
  return api;
}

}  // namespace

Result<const TfApi*> TfApi::Load(const std::string& directory) {
  static const Result<TfApi> api = OpenLibrary(directory);
  if (!api.ok()) return api.status();
  return &*api;
}

}  // namespace fastserve
