#pragma once

#include <memory>

#include "serving/rest_task.h"

namespace fastserve {

// Each reads a JSON body, of which it keeps nothing, and routes.
Result<std::shared_ptr<RestTask>> MakeJsonPredictTask(const RestServices& services,
                                                      const RestRequest& request, ByteView body);
// A classify or regress.
Result<std::shared_ptr<RestTask>> MakeJsonExamplesTask(const RestServices& services,
                                                       const RestRequest& request, ByteView body);

}  // namespace fastserve
