#include "serving/routing.h"

namespace fastserve {
namespace {

std::string VersionText(const PendingVersions::value_type& version) {
  return "version " + std::to_string(version.first) + " is " + version.second;
}

// The states that a request waits for: of the version that it names, or of all. None: of nothing.
std::optional<std::string> AwaitedText(const std::optional<PendingVersions>& pending,
                                       std::optional<int64_t> version) {
  if (!pending) return std::nullopt;
  if (pending->empty()) return "looking for versions";
  if (version) {
    const auto exact = pending->find(*version);
    if (exact == pending->end()) return std::nullopt;
    return VersionText(*exact);
  }
  std::string text;
  for (const auto& each : *pending) text += (text.empty() ? "" : ", ") + VersionText(each);
  return text;
}

Status NotServed(std::string_view name, std::optional<int64_t> version,
                 const std::optional<PendingVersions>& pending) {
  std::string text = "Servable not found for request: ";
  if (version) {
    text.append("Specific(").append(name).append(", ").append(std::to_string(*version));
  } else {
    text.append("Latest(").append(name);
  }
  text += ')';
  const std::optional<std::string> awaited = AwaitedText(pending, version);
  if (!awaited) return Status::NotFound(std::move(text));
  text.append(". Model ").append(name).append(" is not ready yet: ").append(*awaited);
  return Status::Unavailable(std::move(text));
}

Status UnknownLabel(std::string_view label) {
  return Status::InvalidArgument("Unrecognized servable version label: " + std::string(label));
}

}  // namespace

RoutingSnapshot::RoutingSnapshot(const std::vector<ServablePtr>& servables,
                                 const std::map<std::string, VersionLabels>& labels,
                                 const std::map<std::string, PendingVersions>& pending) {
  for (const ServablePtr& servable : servables) {
    models_[servable->name()].versions[servable->version()] = servable;
  }
  for (const auto& [name, model_labels] : labels) models_[name].labels = model_labels;
  for (const auto& [name, versions] : pending) models_[name].pending = versions;
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
  if (found == models_.end()) return NotServed(name, version, std::nullopt);
  const auto& [versions, labels, pending] = found->second;
  auto servable = versions.end();
  if (version) {
    servable = versions.find(*version);
  } else if (!versions.empty()) {
    --servable;
  }
  if (servable == versions.end()) return NotServed(name, version, pending);
  return servable->second;
}

Result<ServablePtr> FindServable(const Router& router, const ModelSpecView& spec) {
  if (spec.name.empty()) return Status::InvalidArgument("ModelSpec has no name specified.");
  return router.Current()->Find(spec.name, spec.version, spec.version_label);
}

}  // namespace fastserve
