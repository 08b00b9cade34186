#include "session/graph_state.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "codec/wire_building.h"
#include "session/test_model.h"

namespace fastserve {
namespace {

using Strings = std::initializer_list<std::string_view>;

// NameAttrList
std::string Called(std::string_view function) { return BytesField(1, function); }

// NodeDef; `value`: of its one attribute, an AttrValue.
std::string Node(std::string_view name, std::string_view op, Strings inputs = {},
                 const std::string& value = "") {
  std::string node = BytesField(1, name) + BytesField(2, op);
  for (const std::string_view input : inputs) node += BytesField(3, input);
  if (!value.empty()) node += BytesField(5, BytesField(1, "f") + BytesField(2, value));
  return node;
}

// An entry of the library.
std::string Function(std::string_view name, const std::string& node) {
  return BytesField(1, BytesField(1, BytesField(1, name)) + BytesField(3, node));
}

// MetaGraphDef with one signature, whose only output is `output`.
std::string MetaGraph(std::initializer_list<std::string> nodes, const std::string& library = "",
                      std::string_view output = "y:0") {
  std::string graph = BytesField(2, library);
  for (const std::string& node : nodes) graph += BytesField(1, node);
  const std::string info = BytesField(1, output) + VarintField(2, 1);
  const std::string signature = BytesField(2, BytesField(1, "y") + BytesField(2, info));
  return BytesField(2, graph) +
         BytesField(5, BytesField(1, "serving_default") + BytesField(2, signature));
}

TEST(GraphStateTest, ArithmeticKeepsNone) {
  EXPECT_FALSE(MayKeepState(MetaGraph(
      {Node("x", "Placeholder"), Node("y", "Add", {"x", "w"}), Node("w", "ReadVariableOp")})));
}

TEST(GraphStateTest, WhatTheOutputsNeedCountsAndNothingElse) {
  const std::string assign = Node("a", "AssignAddVariableOp");
  EXPECT_TRUE(
      MayKeepState(MetaGraph({Node("y", "Identity", {"b:1"}), Node("b", "Add", {"a"}), assign})));
  EXPECT_TRUE(MayKeepState(MetaGraph({Node("y", "Identity", {"^a"}), assign})));
  EXPECT_FALSE(MayKeepState(MetaGraph({Node("y", "Identity"), assign})));
}

TEST(GraphStateTest, FunctionsThatAreCalledCountHoweverTheyAreNamed) {
  const std::string library =
      Function("inner", Node("a", "AssignVariableOp")) +
      Function("outer", Node("c", "PartitionedCall", {}, BytesField(10, Called("inner"))));
  const std::string listed =
      BytesField(1, BytesField(9, Called("none")) + BytesField(9, Called("outer")));
  EXPECT_TRUE(
      MayKeepState(MetaGraph({Node("y", "If", {}, BytesField(10, Called("outer")))}, library)));
  EXPECT_TRUE(MayKeepState(MetaGraph({Node("y", "Case", {}, listed)}, library)));
  EXPECT_TRUE(MayKeepState(MetaGraph({Node("y", "outer")}, library)));
  EXPECT_FALSE(MayKeepState(MetaGraph({Node("y", "Identity")}, library)));
}

TEST(GraphStateTest, TablesQueuesAndRandomNumbersKeepStateWhilePureUpdatesDoNot) {
  for (const std::string_view op :
       {"MutableHashTableV2", "LookupTableInsertV2", "QueueDequeueV2", "RandomUniform",
        "StatelessRandomNormalV2", "ScatterUpdate", "ResourceApplyAdam", "StackPushV2"}) {
    EXPECT_TRUE(MayKeepState(MetaGraph({Node("y", op)}))) << op;
  }
  for (const std::string_view op : {"ScatterNd", "TensorScatterUpdate", "LookupTableFindV2",
                                    "HashTableV2", "StatefulPartitionedCall", "While"}) {
    EXPECT_FALSE(MayKeepState(MetaGraph({Node("y", op)}))) << op;
  }
}

TEST(GraphStateTest, WhatCannotBeReadMayKeepState) {
  EXPECT_TRUE(MayKeepState(MetaGraph({Node("other", "Identity")})));
  EXPECT_TRUE(MayKeepState("\xff"));
  EXPECT_TRUE(MayKeepState(MetaGraph({Node("y", "Identity") + "\x0a\x05"})));
}

TEST(GraphStateTest, AModelThatReadsItsVariablesKeepsNone) {
  EXPECT_FALSE(MayKeepState(TestModel("half_plus_two").session().meta_graph_def()));
}

}  // namespace
}  // namespace fastserve
