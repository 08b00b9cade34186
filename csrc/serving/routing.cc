#include "serving/routing.h"

namespace fastserve {
namespace {

Status NotServed(std::string_view name, std::optional<int64_t> version) {
  std::string text = "Servable not found for request: ";
  if (version) {
    text.append("Specific(").append(name).append(", ").append(std::to_string(*version));
  } else {
    text.append("Latest(").append(name);
  }
  return Status::NotFound(text + ")");
}

Status UnknownLabel(std::string_view label) {
  return Status::InvalidArgument("Unrecognized servable version label: " + std::string(label));
}

}  // namespace

RoutingSnapshot::RoutingSnapshot(const std::vector<ServablePtr>& servables,
                                 const std::map<std::string, VersionLabels>& labels) {
  for (const ServablePtr& servable : servables) {
    models_[servable->name()].versions[servable->version()] = servable;
  }
  for (const auto& [name, model_labels] : labels) models_[name].labels = model_labels;
}

Result<ServablePtr> RoutingSnapshot::Find(std::string_view name, std::optional<int64_t> version,
                                          std::optional<std::string_view> label) const {
  const auto found = models_.find(name);
  if (label) {
    if (found == models_.end()) return UnknownLabel(*label);
    const auto labelled = found->second.labels.find(*label);
    if (labelled == found->second.labels.end()) return UnknownLabel(*label);
    version = labelled->second;
  }
  if (found == models_.end() || found->second.versions.empty()) return NotServed(name, version);
  const auto& versions = found->second.versions;
  if (!version) return versions.rbegin()->second;
  const auto exact = versions.find(*version);
  if (exact == versions.end()) return NotServed(name, version);
  return exact->second;
}

}  // namespace fastserve
