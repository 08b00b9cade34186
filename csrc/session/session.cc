#include "session/session.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "codec/wire_reader.h"
#include "session/replicated_session.h"
#include "session/twin_session.h"

namespace fastserve {
namespace {

// Serialized tensorflow.RunOptions { inter_op_thread_pool: -1 }: field 3, varint, sign-extended.
constexpr char kCallerRuns[] = "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
const TF_Buffer kRunOptions = {kCallerRuns, sizeof(kCallerRuns) - 1, nullptr};

// A TF_Object* that is freed by the C API's own function.
template <class T>
class Owned {
 public:
  Owned(T* object, void (*free)(T*)) : object_(object), free_(free) {}
  ~Owned() { Reset(); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T* get() const { return object_; }
  void Reset() {
    if (object_ != nullptr) free_(std::exchange(object_, nullptr));
  }

 private:
  T* object_;
  void (*free_)(T*);
};

// TensorFlow's out-parameter for errors.
class RuntimeStatus {
 public:
  explicit RuntimeStatus(const TfApi& api)
      : api_(api), status_(api.NewStatus(), api.DeleteStatus) {}
  TF_Status* get() const { return status_.get(); }
  Status ToStatus() const {
    const auto code = static_cast<StatusCode>(api_.GetCode(get()));
    if (code == StatusCode::kOk) return {};
    return {code, api_.Message(get())};
  }

 private:
  const TfApi& api_;
  Owned<TF_Status> status_;
};

Status SetConfig(const TfApi& api, TF_SessionOptions* options, const std::string& config) {
  if (config.empty()) return {};
  const RuntimeStatus status(api);
  api.SetConfig(options, config.data(), config.size(), status.get());
  return status.ToStatus();
}

// Whether a session of this tensorflow.ConfigProto starts threads that no other session shares.
bool HasThreadsOfItsOwn(ByteView config_proto) {
  constexpr uint32_t kUsePerSessionThreads = VarintTag(9);
  constexpr uint32_t kSessionInterOpThreadPool = BytesTag(12);
  bool found = false;
  WireReader in(config_proto);
  while (in.Next()) {
    if (in.tag() == kUsePerSessionThreads) {
      found = in.Varint() != 0;
    } else if (in.tag() == kSessionInterOpThreadPool) {
      return true;
    } else {
      in.Skip();
    }
  }
  return found;
}

// Has the session that is loaded meanwhile share its intra-op threads, or not. TensorFlow reads one
// switch for all, so whoever turns it loads alone.
class OwnThreadsGuard {
 public:
  OwnThreadsGuard(const TfApi& api, IntraOpThreads threads) {
    if (threads == IntraOpThreads::kShared) {
      sharing_ = std::shared_lock(mutex_);
    } else {
      alone_ = std::unique_lock(mutex_);
      switch_ = api.shares_intra_op_threads;
      *switch_ = false;
    }
  }
  ~OwnThreadsGuard() {
    if (switch_ != nullptr) *switch_ = true;
  }
  OwnThreadsGuard(const OwnThreadsGuard&) = delete;
  OwnThreadsGuard& operator=(const OwnThreadsGuard&) = delete;

 private:
  static inline std::shared_mutex mutex_;
  std::shared_lock<std::shared_mutex> sharing_;
  std::unique_lock<std::shared_mutex> alone_;
  bool* switch_ = nullptr;
};

// Starts the threads that sessions share, which TensorFlow does with the first session that wants
// them.
void StartSharedThreads(const TfApi& api, const TF_SessionOptions* options) {
  const Owned<TF_Graph> graph(api.NewGraph(), api.DeleteGraph);
  const RuntimeStatus ignored(api);  // an option that is not valid fails the load too
  TF_Session* session = api.NewSession(graph.get(), options, ignored.get());
  if (session != nullptr) api.DeleteSession(session, ignored.get());
}

// How much lower than the server's priority. TensorFlow's threads take pieces of the runs that are
// long, and give way to the threads that answer requests; loads give way to both.
constexpr int kPoolNice = 7;
constexpr int kLoadNice = 10;

// Starts TensorFlow's threads, which inherit their maker's priority, and then calls `load`; on a
// thread of its own, since a thread that has lowered its priority may not raise it again.
template <class Load>
void LoadAtLowPriority(const TfApi& api, const TF_SessionOptions* options, bool shares_threads,
                       Load load) {
  std::thread([&] {
    ::nice(kPoolNice);
    if (shares_threads) {
      StartSharedThreads(api, options);
      ::nice(kLoadNice - kPoolNice);
    }
    load();
  }).join();
}

bool HoldsSavedModel(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / "saved_model.pb", ignored) ||
         std::filesystem::exists(directory / "saved_model.pbtxt", ignored) ||
         std::filesystem::exists(directory / "saved_model.cpb", ignored);
}

bool HoldsVariables(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / "variables" / "variables.index", ignored);
}

// TensorFlow Serving's text where there is no SavedModel; TensorFlow's own for all else.
Status LoadError(Status status, const std::string& directory) {
  if (status.code() != StatusCode::kNotFound || HoldsSavedModel(directory)) return status;
  return Status::NotFound(
      "Specified file path does not appear to contain a SavedModel bundle (should have a file "
      "called `saved_model.pb`)\nSpecified file path: " +
      directory);
}

// An element of a variant tensor is a C++ object, of which a host tensor has none to give.
Status CheckNoVariantTaken(const TfApi& api, std::span<const TF_Output> feeds,
                           std::span<TF_Tensor* const> feed_values) {
  constexpr auto kVariant = static_cast<TF_DataType>(DataType::kVariant);
  for (size_t i = 0; i < feeds.size(); ++i) {
    if (api.TensorType(feed_values[i]) == kVariant &&
        api.OperationOutputType(feeds[i]) == kVariant) {
      return Status::Unimplemented("an input of dtype variant cannot be fed");
    }
  }
  return {};
}

class SavedModelSession : public Session {
 public:
  explicit SavedModelSession(const TfApi& api)
      : Session(api),
        graph_(api.NewGraph(), api.DeleteGraph),
        meta_graph_(api.NewBuffer(), api.DeleteBuffer) {}
  ~SavedModelSession() override;

  // Reads the model on the calling thread.
  Status Load(const TF_SessionOptions* session_options, const SavedModelOptions& options);

  ByteView meta_graph_def() const override;
  void DropMetaGraphDef() override { meta_graph_.Reset(); }
  Result<TF_Output> Resolve(std::string_view tensor_name) const override;
  bool runs_elsewhere() const override { return false; }
  Result<PooledVector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                          std::span<TF_Tensor* const> feed_values,
                                          std::span<const TF_Output> fetches) const override;

 private:
  // That TensorFlow has these.
  Status CheckDevices(std::span<const std::string> devices) const;

  Owned<TF_Graph> graph_;
  Owned<TF_Buffer> meta_graph_;
  TF_Session* session_ = nullptr;
};

SavedModelSession::~SavedModelSession() {
  if (session_ == nullptr) return;
  const RuntimeStatus ignored(api());
  api().CloseSession(session_, ignored.get());
  api().DeleteSession(session_, ignored.get());
}

Status SavedModelSession::Load(const TF_SessionOptions* session_options,
                               const SavedModelOptions& options) {
  std::vector<const char*> tags;
  for (const std::string& tag : options.tags) tags.push_back(tag.c_str());
  const RuntimeStatus status(api());
  const bool has_variables = HoldsVariables(options.directory);
  session_ = api().LoadSessionFromSavedModel(
      session_options, &kRunOptions, options.directory.c_str(), tags.data(),
      static_cast<int>(tags.size()), graph_.get(), meta_graph_.get(), status.get());
  if (session_ == nullptr) return LoadError(status.ToStatus(), options.directory);
  // TensorFlow takes a model whose variables are gone for one that has none.
  if (!HoldsSavedModel(options.directory) || has_variables != HoldsVariables(options.directory)) {
    return Status::NotFound("The model's files were deleted or changed while it was loaded: " +
                            options.directory);
  }
  return CheckDevices(options.devices);
}

Status SavedModelSession::CheckDevices(std::span<const std::string> devices) const {
  if (devices.empty()) return {};
  const RuntimeStatus status(api());
  const Owned<TF_DeviceList> list(api().SessionListDevices(session_, status.get()),
                                  api().DeleteDeviceList);
  FASTSERVE_RETURN_IF_ERROR(status.ToStatus());
  std::string names;  // "/job:localhost/replica:0/task:0/device:GPU:1, "
  for (int i = 0; i < api().DeviceListCount(list.get()); ++i) {
    names += api().DeviceListName(list.get(), i, status.get());
    names += ", ";
  }
  for (const std::string& device : devices) {
    if (names.find(device + ',') != std::string::npos) continue;
    return Status::FailedPrecondition("TensorFlow does not have all devices for replicas of the " +
                                      std::string("model: it has ") + names + "but not " + device);
  }
  return {};
}

ByteView SavedModelSession::meta_graph_def() const {
  const TF_Buffer* buffer = meta_graph_.get();
  if (buffer == nullptr) return {};
  return {static_cast<const char*>(buffer->data), buffer->length};
}

Result<TF_Output> SavedModelSession::Resolve(std::string_view tensor_name) const {
  const size_t colon = tensor_name.rfind(':');
  const std::string op_name(tensor_name.substr(0, colon));
  int index = 0;
  if (colon != std::string_view::npos) {
    const char* end = tensor_name.data() + tensor_name.size();
    const auto parsed = std::from_chars(tensor_name.data() + colon + 1, end, index);
    if (parsed.ec != std::errc() || parsed.ptr != end) index = -1;
  }
  TF_Operation* op = api().GraphOperationByName(graph_.get(), op_name.c_str());
  if (op == nullptr || index < 0 || index >= api().OperationNumOutputs(op)) {
    return Status::NotFound("the graph has no tensor " + std::string(tensor_name));
  }
  return TF_Output{op, index};
}

Result<PooledVector<RuntimeTensor>> SavedModelSession::Run(
    std::span<const TF_Output> feeds, std::span<TF_Tensor* const> feed_values,
    std::span<const TF_Output> fetches) const {
  FASTSERVE_RETURN_IF_ERROR(CheckNoVariantTaken(api(), feeds, feed_values));
  thread_local const RuntimeStatus status(api());  // there is one TfApi in a process
  InlineVector<TF_Tensor*, 8> fetched;
  for (size_t i = 0; i < fetches.size(); ++i) fetched.push_back(nullptr);
  api().SessionRun(session_, &kRunOptions, feeds.data(), feed_values.data(),
                   static_cast<int>(feeds.size()), fetches.data(), fetched.data(),
                   static_cast<int>(fetches.size()), nullptr, 0, nullptr, status.get());
  FASTSERVE_RETURN_IF_ERROR(status.ToStatus());
  PooledVector<RuntimeTensor> results;
  results.reserve(fetches.size());
  for (TF_Tensor* tensor : fetched) results.emplace_back(api(), tensor);
  return results;
}

}  // namespace

Status LoadOpLibrary(const TfApi& api, const std::string& path) {
  const RuntimeStatus status(api);
  const Owned<TF_Library> library(api.LoadLibrary(path.c_str(), status.get()),
                                  api.DeleteLibraryHandle);  // frees the handle alone
  const Status loaded = status.ToStatus();
  if (loaded.ok()) return {};
  return {loaded.code(), "cannot load the op library " + path + ": " + loaded.message()};
}

Result<std::unique_ptr<Session>> Session::LoadSavedModel(const TfApi& api,
                                                         const SavedModelOptions& options) {
  const Owned<TF_SessionOptions> session_options(api.NewSessionOptions(), api.DeleteSessionOptions);
  FASTSERVE_RETURN_IF_ERROR(SetConfig(api, session_options.get(), options.config_proto));
  auto session = std::make_unique<SavedModelSession>(api);
  Status loaded;
  LoadAtLowPriority(api, session_options.get(), !HasThreadsOfItsOwn(options.config_proto), [&] {
    const OwnThreadsGuard guard(api, options.threads);
    loaded = session->Load(session_options.get(), options);
  });
  if (!loaded.ok()) return loaded;
  if (options.devices.size() > 1) return Replicate(std::move(session), options);
  if (options.twin && TwinSession::MayHelp(*session, options)) {
    return std::unique_ptr<Session>(std::make_unique<TwinSession>(std::move(session), options));
  }
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace fastserve
