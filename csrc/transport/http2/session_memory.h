#pragma once

#include <nghttp2/nghttp2.h>

namespace fastserve {

// nghttp2's memory, from the BlockPool: streams, frames on their way out and header fields come and
// go with every request.
nghttp2_mem SessionMemory();

}  // namespace fastserve
