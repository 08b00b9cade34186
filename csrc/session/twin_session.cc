#include "session/twin_session.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "session/graph_state.h"

namespace fastserve {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uintmax_t kSmallBytes = 64 << 20;  // of all files: what the twin takes once more

// Serialized tensorflow.ConfigProto { intra_op_parallelism_threads: 1 }; appended, it is the one
// that counts.
constexpr char kOneThread[] = "\x10\x01";

double ThreadCpuNs() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

}  // namespace

bool OneThreadCost::Suits(size_t elements) const {
  return ns_per_element_.load(kRelaxed) * static_cast<double>(elements) < kMostNs;
}

void OneThreadCost::Record(double ns, size_t elements) {
  const double sample = ns / static_cast<double>(elements);
  const double known = ns_per_element_.load(kRelaxed);
  // It creeps up, so that a model that has become slower is noticed.
  ns_per_element_.store(known == 0 ? sample : std::min(sample, known + known / 64), kRelaxed);
}

std::optional<TwinSession::Files> TwinSession::FilesIn(const std::string& directory) {
  std::error_code error;
  Files files;
  for (std::filesystem::recursive_directory_iterator entry(directory, error), end;
       !error && entry != end; entry.increment(error)) {
    if (!entry->is_regular_file(error)) continue;
    const uintmax_t bytes = entry->file_size(error);
    const auto changed = entry->last_write_time(error).time_since_epoch().count();
    if (error) break;
    files.bytes += bytes;
    files.hash += std::hash<std::string>()(entry->path().string() + ":" + std::to_string(bytes) +
                                           ":" + std::to_string(changed));
  }
  if (error) return std::nullopt;
  return files;
}

bool TwinSession::MayHelp(const Session& session, const SavedModelOptions& options) {
  if (session.api().shares_intra_op_threads == nullptr) return false;
  const std::optional<Files> files = FilesIn(options.directory);
  return files && files->bytes <= kSmallBytes && !MayKeepState(session.meta_graph_def());
}

TwinSession::TwinSession(std::unique_ptr<Session> first, SavedModelOptions options)
    : Session(first->api()),
      first_(std::move(first)),
      options_(std::move(options)),
      files_(FilesIn(options_.directory)) {}

TwinSession::~TwinSession() {
  for (std::thread& loader : loaders_) loader.join();
}

Result<TF_Output> TwinSession::Resolve(std::string_view tensor_name) const {
  const Result<TF_Output> place = first_->Resolve(tensor_name);
  if (!place.ok()) return place.status();
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Operation>& operation = operations_[place->oper];
  if (operation == nullptr) {
    const std::string name(tensor_name.substr(0, tensor_name.rfind(':')));
    operation = std::make_unique<Operation>(name, place->oper);
    if (twin_ != nullptr) {
      const Result<TF_Output> twin = twin_->Resolve(name);
      if (!twin.ok()) return twin.status();
      operation->twin = twin->oper;
    }
  }
  return TF_Output{reinterpret_cast<TF_Operation*>(operation.get()), place->index};
}

void TwinSession::LoadTwin() const {
  SavedModelOptions options = options_;
  options.config_proto.append(kOneThread, sizeof(kOneThread) - 1);
  options.threads = IntraOpThreads::kOwn;
  options.twin = false;
  Result<std::unique_ptr<Session>> twin = Session::LoadSavedModel(api(), options);
  // The version may have been deleted by now, or meanwhile, and TensorFlow takes a model without
  // its variables.
  if (!twin.ok() || !files_ || FilesIn(options_.directory) != files_) return;
  (*twin)->DropMetaGraphDef();
  const std::lock_guard lock(mutex_);
  for (const auto& [first, operation] : operations_) {
    const Result<TF_Output> place = (*twin)->Resolve(operation->name);
    if (!place.ok()) return;
    operation->twin = place->oper;
  }
  twin_ = std::move(*twin);
}

void TwinSession::WarmUp(const Kept& run) const {
  constexpr int kRuns = 4;
  Operation& kind = OperationOf(run.fetches[0]);
  InlineVector<TF_Tensor*, 8> values;
  for (const RuntimeTensor& value : run.feed_values) values.push_back(value.get());
  for (int i = 0; i < kRuns; ++i) {
    const double before = ThreadCpuNs();  // the thread may wait long for a core
    if (!RunIn(*twin_, &Operation::twin, run.feeds, values, run.fetches).ok()) return;
    // The first run builds TensorFlow's executors.
    if (i > 0) kind.cost.Record(ThreadCpuNs() - before, Elements(values));
  }
  kind.ready.store(true, std::memory_order_release);
  has_twin_.store(true, std::memory_order_release);
}

void TwinSession::Prepare(std::span<const TF_Output> feeds, std::span<TF_Tensor* const> feed_values,
                          std::span<const TF_Output> fetches) const {
  Kept run{{feeds.begin(), feeds.end()}, {}, {fetches.begin(), fetches.end()}};
  for (const TF_Tensor* value : feed_values) {
    Result<RuntimeTensor> copy = RuntimeTensor::FromHost(api(), RuntimeTensor::View(api(), value));
    if (!copy.ok()) return;
    run.feed_values.push_back(std::move(*copy));
  }
  const std::lock_guard lock(mutex_);
  loaders_.emplace_back([this, run = std::move(run)] {
    const std::lock_guard alone(preparing_);
    if (twin_ == nullptr) LoadTwin();
    if (twin_ != nullptr) WarmUp(run);
  });
}

Result<PooledVector<RuntimeTensor>> TwinSession::RunIn(const Session& session,
                                                       TF_Operation* Operation::*operation,
                                                       std::span<const TF_Output> feeds,
                                                       std::span<TF_Tensor* const> feed_values,
                                                       std::span<const TF_Output> fetches) const {
  const auto places_of = [operation](std::span<const TF_Output> places) {
    InlineVector<TF_Output, 8> found;
    for (const TF_Output& place : places) {
      found.push_back({OperationOf(place).*operation, place.index});
    }
    return found;
  };
  return session.Run(places_of(feeds), feed_values, places_of(fetches));
}

size_t TwinSession::Elements(std::span<TF_Tensor* const> tensors) const {
  size_t sum = 0;
  for (const TF_Tensor* tensor : tensors) {
    size_t elements = 1;
    for (int i = 0; i < api().NumDims(tensor); ++i) {
      elements *= static_cast<size_t>(api().Dim(tensor, i));
    }
    sum += elements;
  }
  return std::max<size_t>(sum, 1);
}

Result<PooledVector<RuntimeTensor>> TwinSession::Run(std::span<const TF_Output> feeds,
                                                     std::span<TF_Tensor* const> feed_values,
                                                     std::span<const TF_Output> fetches) const {
  Operation& kind = OperationOf(fetches[0]);
  if (!kind.ready.load(std::memory_order_acquire)) {
    auto ran = RunIn(*first_, &Operation::first, feeds, feed_values, fetches);
    if (ran.ok() && kind.runs.load(kRelaxed) < kBusyRuns &&
        kind.runs.fetch_add(1, kRelaxed) + 1 == kBusyRuns) {
      Prepare(feeds, feed_values, fetches);
    }
    return ran;
  }
  const size_t elements = Elements(feed_values);
  if (!kind.cost.Suits(elements)) {
    return RunIn(*first_, &Operation::first, feeds, feed_values, fetches);
  }
  const auto start = std::chrono::steady_clock::now();
  auto ran = RunIn(*twin_, &Operation::twin, feeds, feed_values, fetches);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  if (ran.ok()) {
    kind.cost.Record(elapsed.count(), elements);
    return ran;
  }
  // What is wrong is for the first to tell.
  return RunIn(*first_, &Operation::first, feeds, feed_values, fetches);
}

}  // namespace fastserve
