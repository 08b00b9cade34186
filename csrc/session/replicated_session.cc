#include "session/replicated_session.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "codec/wire_format.h"
#include "session/placement.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kMetaGraphs = 2;  // of tensorflow.SavedModel

// A new folder for temporary files, gone with this.
class ScratchFolder {
 public:
  static Result<ScratchFolder> Make() {
    std::error_code error;
    std::string path = (fs::temp_directory_path(error) / "fastserve-XXXXXX").string();
    if (!error && ::mkdtemp(path.data()) != nullptr) return ScratchFolder(std::move(path));
    if (!error) error = {errno, std::generic_category()};
    return Status::FailedPrecondition("no folder for temporary files (TMPDIR): " + error.message());
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  fs::path path_;
};

// Makes a SavedModel of `meta_graph_def` in `folder`, with links to all else that `model` holds.
Status WriteVariant(const fs::path& model, ByteView meta_graph_def, const fs::path& folder) {
  std::error_code error;
  const fs::path source = fs::absolute(model, error);
  for (fs::directory_iterator entry(source, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& name = entry->path().filename();
    if (name.stem() != "saved_model") fs::create_symlink(entry->path(), folder / name, error);
    if (error) break;
  }
  if (error) {
    return Status::Internal("cannot link to what is in " + source.string() + ": " +
                            error.message());
  }
  std::string header(BytesHeaderSize(kMetaGraphs, meta_graph_def.size()), '\0');
  WriteBytesHeader(header.data(), kMetaGraphs, meta_graph_def.size());
  std::ofstream file(folder / "saved_model.pb", std::ios::binary);
  file << header << meta_graph_def;
  file.close();
  if (file.good()) return {};
  return Status::ResourceExhausted("cannot write " + (folder / "saved_model.pb").string());
}

Result<std::unique_ptr<Session>> LoadReplica(const Session& first, SavedModelOptions options,
                                             const std::string& device) {
  const Result<std::string> placed = PlaceMetaGraph(first.meta_graph_def(), device);
  if (!placed.ok()) return placed.status();
  const Result<ScratchFolder> folder = ScratchFolder::Make();
  if (!folder.ok()) return folder.status();
  FASTSERVE_RETURN_IF_ERROR(WriteVariant(options.directory, *placed, folder->path()));
  options.directory = folder->path();
  options.devices = {device};
  return Session::LoadSavedModel(first.api(), options);
}

}  // namespace

Result<std::unique_ptr<Session>> Replicate(std::unique_ptr<Session> first,
                                           const SavedModelOptions& options) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (size_t i = 1; i < options.devices.size(); ++i) {
    const std::string& device = options.devices[i];
    Result<std::unique_ptr<Session>> replica = LoadReplica(*first, options, device);
    if (!replica.ok()) {
      const Status& status = replica.status();
      return Status(status.code(), "the replica on " + device + ": " + status.message());
    }
    (*replica)->DropMetaGraphDef();
    sessions.push_back(std::move(*replica));
  }
  sessions.insert(sessions.begin(), std::move(first));
  return std::unique_ptr<Session>(
      std::make_unique<ReplicatedSession>(std::move(sessions), options.devices));
}

ReplicatedSession::ReplicatedSession(std::vector<std::unique_ptr<Session>> sessions,
                                     std::vector<std::string> devices)
    : Session(sessions[0]->api()), replicas_(sessions.size()), devices_(std::move(devices)) {
  for (size_t i = 0; i < sessions.size(); ++i) replicas_[i].session = std::move(sessions[i]);
}

void ReplicatedSession::DropMetaGraphDef() { replicas_[0].session->DropMetaGraphDef(); }

Session::ReplicaRuns ReplicatedSession::replica_runs() const {
  ReplicaRuns runs;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    runs.emplace_back(devices_[i], replicas_[i].begun.load(std::memory_order_relaxed));
  }
  return runs;
}

Result<TF_Output> ReplicatedSession::Resolve(std::string_view tensor_name) const {
  Operations operations;
  int index = 0;
  for (const Replica& replica : replicas_) {
    const Result<TF_Output> place = replica.session->Resolve(tensor_name);
    if (!place.ok()) return place.status();
    operations.push_back(place->oper);
    index = place->index;
  }
  TF_Operation* const key = operations[0];
  const std::lock_guard lock(mutex_);
  Operations& all = operations_.try_emplace(key, std::move(operations)).first->second;
  return TF_Output{reinterpret_cast<TF_Operation*>(&all), index};
}

const ReplicatedSession::Replica& ReplicatedSession::Choose() const {
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed);
  const Replica* chosen = nullptr;
  int fewest = 0;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    const Replica& replica = replicas_[(first + i) % replicas_.size()];
    const int in_flight = replica.in_flight.load(std::memory_order_relaxed);
    if (chosen != nullptr && in_flight >= fewest) continue;
    chosen = &replica;
    fewest = in_flight;
  }
  return *chosen;
}

InlineVector<TF_Output, 8> ReplicatedSession::PlacesIn(const Replica& replica,
                                                       std::span<const TF_Output> places) const {
  const auto index = static_cast<size_t>(&replica - replicas_.data());
  InlineVector<TF_Output, 8> found;
  for (const TF_Output& place : places) {
    const Operations& operations = *reinterpret_cast<const Operations*>(place.oper);
    found.push_back({operations[index], place.index});
  }
  return found;
}

Result<PooledVector<RuntimeTensor>> ReplicatedSession::Run(
    std::span<const TF_Output> feeds, std::span<TF_Tensor* const> feed_values,
    std::span<const TF_Output> fetches) const {
  const Replica& replica = Choose();
  const InlineVector<TF_Output, 8> its_feeds = PlacesIn(replica, feeds);
  const InlineVector<TF_Output, 8> its_fetches = PlacesIn(replica, fetches);
  replica.in_flight.fetch_add(1, std::memory_order_relaxed);
  replica.begun.fetch_add(1, std::memory_order_relaxed);
  Result<PooledVector<RuntimeTensor>> ran =
      replica.session->Run(its_feeds, feed_values, its_fetches);
  replica.in_flight.fetch_sub(1, std::memory_order_relaxed);
  return ran;
}

}  // namespace fastserve
