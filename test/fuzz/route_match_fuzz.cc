// A random route table and random requests: compiled selection must find what the naive walker finds, and nothing may
// crash on what the table was not written for.
#include <string>

#include "test/core/route/random_table.h"
#include "test/fuzz/input.h"

namespace weir::route {
namespace {

using fuzz::ByteChoices;

void run(const uint8_t* data, size_t size) {
  constexpr int kMaxRequests = 200;
  ByteChoices choices(data, size);
  RouteTableSpec spec = random_table(choices, 4, 40);
  ByteChoices again(data, size);
  auto table = RouteTable::build(random_table(again, 4, 40));
  if (!table.ok()) fuzz::require(false, message_of(table.status()));
  NaiveRouter naive(spec);
  for (int i = 0; i < kMaxRequests && !choices.used_up(); ++i) {
    RandomRequest request(choices);
    NaiveRouter::Found expected = naive.find(request);
    NaiveRouter::Found found = find_compiled(**table, request);
    auto text = [](const NaiveRouter::Found& one) {
      return std::to_string(one.host) + "/" + std::to_string(one.route);
    };
    fuzz::require(found == expected, request.method + " " + request.host + request.target, text(expected), text(found));
  }
}

}  // namespace
}  // namespace weir::route

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::route::run(data, size);
  return 0;
}
