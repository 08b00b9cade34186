#include "session/placement.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "codec/wire_reader.h"

namespace fastserve {
namespace {

// Field numbers of tensorflow/core/protobuf/meta_graph.proto and framework/{graph,function,
// node_def}.proto.
constexpr uint32_t kGraphDef = 2;      // of MetaGraphDef
constexpr uint32_t kNode = 1;          // of GraphDef
constexpr uint32_t kLibrary = 2;       // of GraphDef
constexpr uint32_t kFunction = 1;      // of FunctionDefLibrary
constexpr uint32_t kFunctionNode = 3;  // of FunctionDef
constexpr uint32_t kDevice = 4;        // of NodeDef

// `value` is as WireReader::Value() gives it.
void AppendField(std::string& out, uint32_t tag, ByteView value) {
  WriteVarint(Extend(&out, VarintSize(tag)), tag);
  if (tag == BytesTag(tag >> 3)) {
    WriteVarint(Extend(&out, VarintSize(value.size())), value.size());
  }
  out.append(value);
}

// Whether a device's name, in any of its forms ("/gpu:0", "/job:w/task:1/device:GPU:0"), is a
// GPU's.
bool NamesGpu(std::string_view device) {
  std::string lower(device);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return lower.find("gpu:") != std::string::npos;
}

// Writes messages anew. `ok` tells whether all of them could be read.
class Placer {
 public:
  explicit Placer(std::string_view device) : device_(device) {}

  bool ok() const { return ok_; }
  std::string MetaGraph(ByteView message) {
    return Rewrite(message, {{kGraphDef, &Placer::Graph}});
  }

 private:
  struct Part {
    uint32_t field;  // of bytes
    std::string (Placer::*rewrite)(ByteView);
  };

  // Copies a message, but for `parts`.
  std::string Rewrite(ByteView message, std::initializer_list<Part> parts) {
    std::string copy;
    copy.reserve(message.size() + message.size() / 8);
    WireReader in(message);
    while (in.Next()) {
      const ByteView value = in.Value();
      const auto part = std::find_if(parts.begin(), parts.end(), [&](const Part& each) {
        return in.tag() == BytesTag(each.field);
      });
      if (part == parts.end()) {
        AppendField(copy, in.tag(), value);
      } else {
        AppendField(copy, in.tag(), (this->*part->rewrite)(value));
      }
    }
    ok_ = ok_ && in.ok();
    return copy;
  }

  std::string Graph(ByteView message) {
    return Rewrite(message, {{kNode, &Placer::Node}, {kLibrary, &Placer::Library}});
  }
  std::string Library(ByteView message) {
    return Rewrite(message, {{kFunction, &Placer::Function}});
  }
  std::string Function(ByteView message) {
    return Rewrite(message, {{kFunctionNode, &Placer::FunctionNode}});
  }
  std::string Node(ByteView message) {
    const std::string_view asked = DeviceOf(message);
    return asked.empty() || NamesGpu(asked) ? Moved(message) : std::string(message);
  }
  std::string FunctionNode(ByteView message) {
    return NamesGpu(DeviceOf(message)) ? Moved(message) : std::string(message);
  }

  std::string Moved(ByteView node) const {
    std::string moved(node);
    AppendField(moved, BytesTag(kDevice), device_);  // the last one of a field counts
    return moved;
  }

  std::string_view DeviceOf(ByteView node) {
    std::string_view device;
    WireReader in(node);
    while (in.Next()) {
      if (in.tag() == BytesTag(kDevice)) {
        device = in.Bytes();
      } else {
        in.Skip();
      }
    }
    ok_ = ok_ && in.ok();
    return device;
  }

  const std::string_view device_;
  bool ok_ = true;
};

}  // namespace

Result<std::string> PlaceMetaGraph(ByteView meta_graph_def, std::string_view device) {
  Placer placer(device);
  std::string placed = placer.MetaGraph(meta_graph_def);
  if (!placer.ok()) return Status::Internal("the model's MetaGraphDef cannot be read");
  return placed;
}

}  // namespace fastserve
