#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "codec/model_spec.h"
#include "serving/servable.h"

namespace fastserve {

// label -> version of one model.
using VersionLabels = std::map<std::string, int64_t, std::less<>>;
// version -> state ("LOADING") of those versions of one model that are on their way; empty while
// the model's versions are still being looked for.
using PendingVersions = std::map<int64_t, std::string>;

// Which loaded servable answers for which name, version and label. Immutable.
class RoutingSnapshot {
 public:
  RoutingSnapshot() = default;
  // `labels` and `pending` go by model name; a label may name a version that is not loaded.
  RoutingSnapshot(const std::vector<ServablePtr>& servables,
                  const std::map<std::string, VersionLabels>& labels,
                  const std::map<std::string, PendingVersions>& pending = {});

  // At most one of `version` and `label` is set; with neither, the highest loaded version answers.
  // Errors by upstream's texts (core/manager.h, model_servers/server_core.cc): kInvalidArgument for
  // an unknown label, kNotFound for what is not loaded. Where that is on its way: kUnavailable,
  // with the states of what is awaited behind upstream's text. RoutingTable of
  // py/fastserve/routing/table.py answers the rare RPCs with the same texts.
  Result<ServablePtr> Find(std::string_view name, std::optional<int64_t> version,
                           std::optional<std::string_view> label) const;

 private:
  struct Model {
    std::map<int64_t, ServablePtr> versions;
    VersionLabels labels;
    std::optional<PendingVersions> pending;  // none: nothing is to be waited for
  };
  std::map<std::string, Model, std::less<>> models_;
};

// The routing table in force. Publish() from the control plane, Current() from any thread.
class Router {
 public:
  Router() : current_(std::make_shared<const RoutingSnapshot>()) {}

  std::shared_ptr<const RoutingSnapshot> Current() const { return current_.load(); }
  // Requests that were routed before keep the servable that they were given.
  void Publish(std::shared_ptr<const RoutingSnapshot> next) { current_.store(std::move(next)); }

 private:
  std::atomic<std::shared_ptr<const RoutingSnapshot>> current_;
};

// The servable that a request's ModelSpec asks for. kInvalidArgument for an empty name.
Result<ServablePtr> FindServable(const Router& router, const ModelSpecView& spec);

}  // namespace fastserve
