#include "codec/predict_json.h"

#include <optional>

#include "codec/predict_json_reader.h"

namespace fastserve {

Result<PredictJson> ParsePredictJson(ByteView body, const FindSignature& find_signature) {
  std::optional<std::string> name;
  while (true) {
    PredictJsonReader reader(body, find_signature, name);
    FASTSERVE_RETURN_IF_ERROR(reader.Read());
    if (reader.is_right()) return PredictJson{reader.name(), reader.TakeInputs()};
    name = reader.name();
  }
}

}  // namespace fastserve
