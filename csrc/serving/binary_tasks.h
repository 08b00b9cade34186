#pragma once

#include <memory>

#include "serving/rest_task.h"

namespace fastserve {

// REST predicts beyond TensorFlow Serving. Each reads a whole body and routes by the URL.

// A PredictRequest, answered with a PredictResponse. Of its model_spec only the signature's name
// counts; errors are those of Predict over gRPC.
Result<std::shared_ptr<RestTask>> MakeProtobufTask(const RestServices& services,
                                                   const RestRequest& request, ByteBuffer body);

// An npy file, the only input of the signature "serving_default". Answered with an npy file where
// there is one output that has that form and JSON is not wanted, else with JSON in column format.
Result<std::shared_ptr<RestTask>> MakeNpyTask(const RestServices& services,
                                              const RestRequest& request, ByteBuffer body);

}  // namespace fastserve
