#include "session/graph_state.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "codec/signature.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

// Field numbers of tensorflow/core/protobuf/meta_graph.proto and framework/{graph,function,
// node_def,op_def,attr_value}.proto.
constexpr uint32_t kGraphDef = BytesTag(2);      // of MetaGraphDef
constexpr uint32_t kNode = BytesTag(1);          // of GraphDef
constexpr uint32_t kLibrary = BytesTag(2);       // of GraphDef
constexpr uint32_t kFunction = BytesTag(1);      // of FunctionDefLibrary
constexpr uint32_t kFunctionNode = BytesTag(3);  // of FunctionDef
constexpr uint32_t kFunctionSignature = BytesTag(1);
constexpr uint32_t kName = BytesTag(1);            // of NodeDef, OpDef and NameAttrList
constexpr uint32_t kOp = BytesTag(2);              // of NodeDef
constexpr uint32_t kInput = BytesTag(3);           // of NodeDef
constexpr uint32_t kAttr = BytesTag(5);            // of NodeDef
constexpr uint32_t kAttrValue = BytesTag(2);       // of an entry of it
constexpr uint32_t kFunctionAttr = BytesTag(10);   // of AttrValue
constexpr uint32_t kListAttr = BytesTag(1);        // of AttrValue
constexpr uint32_t kFunctionInList = BytesTag(9);  // of AttrValue.ListValue

// Parts of the names of operations that keep state, by tensorflow/core/ops.
constexpr std::array<std::string_view, 21> kStateful = {
    "Assign",      "Apply",       "ResourceScatter", "ResourceSparse", "Mutable",  "TableInsert",
    "TableImport", "TableRemove", "Queue",           "Barrier",        "Iterator", "Dataset",
    "Random",      "Multinomial", "CountUpTo",       "Accumulator",    "PyFunc",   "Temporary",
    "WriteFile",   "Save",        "Summary"};
constexpr std::array<std::string_view, 4> kStatefulStarts = {"Scatter", "Stack", "Stage",
                                                             "Unstage"};

bool KeepsState(std::string_view op) {
  if (op == "ScatterNd") return false;
  const auto in_name = [&](std::string_view part) { return op.find(part) != op.npos; };
  const auto at_start = [&](std::string_view part) { return op.starts_with(part); };
  return std::any_of(kStateful.begin(), kStateful.end(), in_name) ||
         std::any_of(kStatefulStarts.begin(), kStatefulStarts.end(), at_start);
}

// The first value of a field of bytes; empty without one.
ByteView Field(ByteView message, uint32_t tag) {
  WireReader in(message);
  while (in.Next()) {
    if (in.tag() == tag) return in.Bytes();
    in.Skip();
  }
  return {};
}

// "^op" and "op:1" name the operation "op".
std::string_view OperationOf(std::string_view tensor) {
  if (tensor.starts_with('^')) tensor.remove_prefix(1);
  return tensor.substr(0, tensor.find(':'));
}

// Walks from outputs to all that they need.
class Walk {
 public:
  explicit Walk(ByteView graph_def) {
    WireReader in(graph_def);
    while (in.Next()) {
      if (in.tag() == kNode) {
        const ByteView node = in.Bytes();
        nodes_.emplace(Field(node, kName), node);
      } else if (in.tag() == kLibrary) {
        WireReader library = in.Message();
        while (library.Next()) {
          if (library.tag() != kFunction) {
            library.Skip();
            continue;
          }
          const ByteView function = library.Bytes();
          functions_.emplace(Field(Field(function, kFunctionSignature), kName), function);
        }
        in.Require(library.ok());
      } else {
        in.Skip();
      }
    }
    stateful_ = !in.ok();
  }

  void Reach(std::string_view tensor) {
    waiting_.push_back(OperationOf(tensor));
    while (!stateful_ && !waiting_.empty()) {
      const std::string_view name = waiting_.back();
      waiting_.pop_back();
      const auto node = nodes_.find(name);
      if (node == nodes_.end()) {
        stateful_ = true;
      } else if (reached_.insert(name).second) {
        Look(node->second, true);
      }
    }
  }

  bool stateful() const { return stateful_; }

 private:
  // Inside a function `with_inputs` is false: all of its nodes count.
  void Look(ByteView node, bool with_inputs) {
    WireReader in(node);
    while (in.Next()) {
      if (in.tag() == kOp) {
        const std::string_view op = in.Bytes();
        if (KeepsState(op)) stateful_ = true;
        Call(op);
      } else if (in.tag() == kInput && with_inputs) {
        waiting_.push_back(OperationOf(in.Bytes()));
      } else if (in.tag() == kAttr) {
        LookAtAttr(Field(in.Bytes(), kAttrValue));
      } else {
        in.Skip();
      }
    }
    if (!in.ok()) stateful_ = true;
  }

  void LookAtAttr(ByteView value) {
    Call(Field(Field(value, kFunctionAttr), kName));
    WireReader list(Field(value, kListAttr));
    while (list.Next()) {
      if (list.tag() == kFunctionInList) {
        Call(Field(list.Bytes(), kName));
      } else {
        list.Skip();
      }
    }
  }

  void Call(std::string_view name) {
    const auto function = functions_.find(name);
    if (function == functions_.end() || !called_.insert(name).second) return;
    WireReader in(function->second);
    while (in.Next()) {
      if (in.tag() == kFunctionNode) {
        Look(in.Bytes(), false);
      } else {
        in.Skip();
      }
    }
    if (!in.ok()) stateful_ = true;
  }

  std::unordered_map<std::string_view, ByteView> nodes_;
  std::unordered_map<std::string_view, ByteView> functions_;
  std::unordered_set<std::string_view> reached_;
  std::unordered_set<std::string_view> called_;
  std::vector<std::string_view> waiting_;
  bool stateful_ = false;
};

}  // namespace

bool MayKeepState(ByteView meta_graph_def) {
  const Result<MetaGraphSignatures> parsed = ParseMetaGraphSignatures(meta_graph_def);
  if (!parsed.ok()) return true;
  Walk walk(Field(meta_graph_def, kGraphDef));
  for (const auto& [name, signature] : parsed->signatures) {
    for (const TensorInfo& output : signature.outputs) walk.Reach(output.tensor_name);
  }
  return walk.stateful();
}

}  // namespace fastserve
