#pragma once

#include "base/byte_buffer.h"

namespace fastserve {

// Whether a run of any signature of a serialized tensorflow.MetaGraphDef may change what later runs
// answer: whether operations that write variables, tables or files, or draw random numbers, are
// among those that the signatures' outputs need. In doubt it may, also where the bytes do not
// parse.
bool MayKeepState(ByteView meta_graph_def);

}  // namespace fastserve
