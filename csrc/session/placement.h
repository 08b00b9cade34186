#pragma once

#include <string>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// Returns a serialized tensorflow.MetaGraphDef whose graph asks for `device` ("/device:GPU:1"):
// each node that asks for none, and each, in functions too, that names a GPU. What else a function
// holds runs where it is called. Nodes that name a CPU stay there. kInternal for bytes that are no
// MetaGraphDef.
Result<std::string> PlaceMetaGraph(ByteView meta_graph_def, std::string_view device);

}  // namespace fastserve
