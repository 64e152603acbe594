#include "extensions/dynamic/handle_table.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>

namespace weir::extensions::dynamic {
namespace {

// The table never looks into what it names.
Filter& object(int number) { return *reinterpret_cast<Filter*>(static_cast<uintptr_t>(0x1000 + 16 * number)); }

TEST(HandleTable, NumbersSayTheWorker) {
  HandleTable table(255);
  weir_stream handle = table.add(object(1));
  EXPECT_EQ(HandleTable::worker_of(handle), 255u);
  EXPECT_EQ(table.find(handle), &object(1));
  EXPECT_EQ(HandleTable::worker_of(HandleTable(0).add(object(1))), 0u);
}

TEST(HandleTable, NeverZero) {
  HandleTable table(0);
  EXPECT_NE(table.add(object(1)), 0u);
  EXPECT_EQ(table.find(0), nullptr);
}

TEST(HandleTable, GivenBackIsUnknown) {
  HandleTable table(1);
  weir_stream first = table.add(object(1));
  table.remove(first);
  EXPECT_EQ(table.find(first), nullptr);
  for (int i = 0; i < 5000; ++i) {
    weir_stream next = table.add(object(2));
    EXPECT_NE(next, first);
    EXPECT_EQ(table.find(first), nullptr);
    table.remove(next);
  }
  EXPECT_EQ(table.live(), 0u);
}

TEST(HandleTable, FirstInFirstOut) {
  HandleTable table(1, 4);
  std::deque<weir_stream> live;
  for (int i = 0; i < 4; ++i) live.push_back(table.add(object(i)));
  EXPECT_EQ(table.add(object(9)), 0u) << "full";
  auto slot = [](weir_stream handle) { return handle >> HandleTable::kGenerationBits; };
  table.remove(live[2]);
  table.remove(live[0]);
  EXPECT_EQ(slot(table.add(object(5))), slot(live[2]));
  EXPECT_EQ(slot(table.add(object(6))), slot(live[0]));
  EXPECT_EQ(table.add(object(9)), 0u);
}

TEST(HandleTable, SlotsRestBeforeTheyAreReused) {
  HandleTable table(1);
  std::set<uint64_t> slots;
  for (int i = 0; i < 200; ++i) {
    weir_stream handle = table.add(object(i));
    EXPECT_TRUE(slots.insert(handle >> HandleTable::kGenerationBits).second);
    table.remove(handle);
  }
}

TEST(HandleTable, ManyAtOnce) {
  HandleTable table(3);
  std::vector<weir_stream> handles;
  for (int i = 0; i < 100'000; ++i) handles.push_back(table.add(object(i)));
  for (int i = 0; i < 100'000; ++i) EXPECT_EQ(table.find(handles[i]), &object(i));
  for (weir_stream handle : handles) table.remove(handle);
  for (weir_stream handle : handles) EXPECT_EQ(table.find(handle), nullptr);
}

}  // namespace
}  // namespace weir::extensions::dynamic
