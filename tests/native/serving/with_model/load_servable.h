#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "serving/servable.h"
#include "session/test_model.h"

namespace fastserve {

// A test model, served under its own name. Null, and a failed test, when it does not load.
inline ServablePtr LoadServable(const std::string& name, int version = 1,
                                std::function<void()> on_unloaded = nullptr) {
  Result<ServablePtr> servable = Servable::Load(
      TensorFlow(), name, version,
      {.directory = ModelDirectory(name, version), .tags = {"serve"}, .config_proto = ""},
      std::nullopt, std::move(on_unloaded));
  EXPECT_TRUE(servable.ok()) << servable.status().ToString();
  return servable.ok() ? *servable : nullptr;
}

}  // namespace fastserve
