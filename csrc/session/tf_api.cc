#include "session/tf_api.h"

#include <dlfcn.h>

#include <mutex>
#include <optional>

namespace fastserve {
namespace {

// Lazy binding: a run needs few of the library's many symbols (2.21 opens in 155 ms, in 220 ms with
// RTLD_NOW). Local: its bundled libraries' symbols must not be seen by anything else in the
// process.
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
#define FASTSERVE_COUNT(name) +1
  static_assert(sizeof(TfApi) == sizeof(void*) * (1 FASTSERVE_TF_FUNCTIONS(FASTSERVE_COUNT)),
                "a function pointer of TfApi is not in FASTSERVE_TF_FUNCTIONS");
#undef FASTSERVE_COUNT
#define FASTSERVE_FIND(name) FASTSERVE_RETURN_IF_ERROR(Find(library, "TF_" #name, api.name));
  FASTSERVE_TF_FUNCTIONS(FASTSERVE_FIND)
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
  api.shares_intra_op_threads = static_cast<bool*>(
      ::dlsym(*framework, "_ZN10tensorflow11LocalDevice22use_global_threadpool_E"));
  return api;
}

}  // namespace

Result<const TfApi*> TfApi::Load(const std::string& directory) {
  static std::mutex mutex;
  static std::optional<TfApi> loaded;
  const std::lock_guard lock(mutex);
  if (!loaded) {
    const Result<TfApi> api = OpenLibrary(directory);
    if (!api.ok()) return api.status();
    loaded = *api;
  }
  return &*loaded;
}

}  // namespace fastserve
