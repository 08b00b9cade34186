#include "session/placement.h"

#include <gtest/gtest.h>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

// A NodeDef: name, op, input, device (where there is one), attr.
std::string Node(std::string_view name, std::string_view device) {
  const std::string head = BytesField(1, name) + BytesField(2, "Op") + BytesField(3, "in");
  return head + (device.empty() ? "" : BytesField(4, device)) + MapEntryField(5, "a", "\x18\x01");
}

// A MetaGraphDef of nodes, nodes of a function, and other fields.
std::string MetaGraph(std::initializer_list<std::string> nodes,
                      std::initializer_list<std::string> function_nodes) {
  std::string graph = BytesField(4, VarintField(1, 1882));
  for (const std::string& node : nodes) graph += BytesField(1, node);
  std::string function = BytesField(1, BytesField(1, "f"));
  for (const std::string& node : function_nodes) function += BytesField(3, node);
  graph += BytesField(2, BytesField(1, function));
  return BytesField(1, BytesField(4, "serve")) + BytesField(2, graph) +
         MapEntryField(5, "serving_default", "");
}

// `node` after it was placed: the device is behind what it had.
std::string Placed(const std::string& node) { return node + BytesField(4, "/device:GPU:1"); }

TEST(PlacementTest, NodesAskForTheDeviceUnlessTheyNameACpu) {
  const std::string free = Node("free", "");
  const std::string cpu = Node("cpu", "/device:CPU:0");
  const std::string gpu = Node("gpu", "/job:localhost/replica:0/task:0/device:GPU:0");
  const std::string old = Node("old", "/gpu:3");
  const Result<std::string> placed =
      PlaceMetaGraph(MetaGraph({free, cpu, gpu, old}, {free, cpu, gpu, old}), "/device:GPU:1");
  ASSERT_TRUE(placed.ok()) << placed.status().ToString();
  EXPECT_EQ(*placed, MetaGraph({Placed(free), cpu, Placed(gpu), Placed(old)},
                               {free, cpu, Placed(gpu), Placed(old)}));
}

TEST(PlacementTest, WhatIsNoMetaGraphIsAnError) {
  const std::string cut = BytesField(2, BytesField(1, "\x0a\x05x"));
  EXPECT_EQ(PlaceMetaGraph(cut, "/device:GPU:1").status().code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace fastserve
