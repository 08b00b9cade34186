#include "serving/servable.h"

#include <utility>

#include "base/heap.h"
#include "serving/batcher.h"
#include "serving/reaper.h"

namespace fastserve {
namespace {

constexpr std::string_view kDefaultSignature = "serving_default";

std::vector<TF_Output> Bind(const Session& session, const std::vector<TensorInfo>& infos) {
  std::vector<TF_Output> places;
  places.reserve(infos.size());
  for (const TensorInfo& info : infos) {
    const Result<TF_Output> place = session.Resolve(info.tensor_name);
    places.push_back(place.ok() ? *place : TF_Output{nullptr, 0});
  }
  return places;
}

}  // namespace

Servable::Servable(std::string name, int64_t version, std::unique_ptr<Session> session,
                   MetaGraphSignatures signatures)
    : name_(std::move(name)),
      version_(version),
      session_(std::move(session)),
      signature_def_map_(std::move(signatures.signature_def_map)) {
  for (auto& [key, signature] : signatures.signatures) {
    BoundSignature& bound = signatures_[key];
    bound.feeds = Bind(*session_, signature.inputs);
    bound.fetches = Bind(*session_, signature.outputs);
    bound.signature = std::move(signature);
    if (session_->runs_elsewhere()) bound.cost.ForbidCheap();
    bound.metrics = std::make_shared<SignatureMetrics>(name_, version_, key);
  }
  if (!session_->replica_runs().empty()) {
    replica_metrics_ = std::make_unique<ReplicaMetrics>(
        name_, version_, [session = session_.get()] { return session->replica_runs(); });
  }
}

Servable::~Servable() = default;

Result<ServablePtr> Servable::Load(const TfApi& api, std::string name, int64_t version,
                                   const SavedModelOptions& options,
                                   std::optional<Batching> batching,
                                   std::function<void()> on_unloaded) {
  Result<std::unique_ptr<Session>> session = Session::LoadSavedModel(api, options);
  if (!session.ok()) return session.status();
  return Make(std::move(*session), std::move(name), version, std::move(batching),
              std::move(on_unloaded));
}

Result<ServablePtr> Servable::Make(std::unique_ptr<Session> session, std::string name,
                                   int64_t version, std::optional<Batching> batching,
                                   std::function<void()> on_unloaded) {
  Result<MetaGraphSignatures> signatures = ParseMetaGraphSignatures(session->meta_graph_def());
  if (!signatures.ok()) return signatures.status();
  session->DropMetaGraphDef();
  auto servable = std::unique_ptr<Servable>(
      new Servable(std::move(name), version, std::move(session), std::move(*signatures)));
  if (batching) {
    servable->batching_metrics_ =
        std::make_unique<BatchingMetrics>(servable->name(), servable->version());
    servable->batcher_ =
        std::make_unique<Batcher>(servable->session(), std::move(batching->scheduler),
                                  std::move(batching->policy), *servable->batching_metrics_);
  }
  auto bury = [on_unloaded = std::move(on_unloaded)](const Servable* dead) {
    Reaper::Instance().Bury([dead, on_unloaded] {
      delete dead;
      ReturnFreedMemory();  // else a graph's many small pieces pile up from version to version
      if (on_unloaded) on_unloaded();
    });
  };
  return ServablePtr(servable.release(), std::move(bury));
}

const BoundSignature* Servable::FindSignature(std::string_view name) const {
  const auto found = signatures_.find(name.empty() ? kDefaultSignature : name);
  return found == signatures_.end() ? nullptr : &found->second;
}

}  // namespace fastserve
