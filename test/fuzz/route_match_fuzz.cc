// A random route table and random requests: compiled selection must find what the naive walker finds, and nothing may
// crash on what the table was not written for.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "test/core/route/random_table.h"

namespace weir::route {
namespace {

using test::ByteChoices;

void run(const uint8_t* data, size_t size) {
  constexpr int kMaxRequests = 200;
  ByteChoices choices(data, size);
  RouteTableSpec spec = random_table(choices, 4, 40);
  ByteChoices again(data, size);
  auto table = RouteTable::build(random_table(again, 4, 40));
  if (!table.ok()) {
    std::fprintf(stderr, "%s\n", message_of(table.status()).c_str());
    std::abort();
  }
  NaiveRouter naive(spec);
  for (int i = 0; i < kMaxRequests && !choices.used_up(); ++i) {
    RandomRequest request(choices);
    NaiveRouter::Found expected = naive.find(request);
    NaiveRouter::Found found = find_compiled(**table, request);
    if (found == expected) continue;
    std::fprintf(stderr, "%s %s%s: found %d/%d, expected %d/%d\n", request.method.c_str(), request.host.c_str(),
                 request.target.c_str(), found.host, found.route, expected.host, expected.route);
    std::abort();
  }
}

// The regex of a table and the text it meets, both taken from the input as they are.
void run_regex(const uint8_t* data, size_t size) {
  const char* bytes = reinterpret_cast<const char*>(data);
  std::string_view input(bytes, size);
  size_t cut = input.find('\0');
  if (cut == std::string_view::npos) return;
  std::string_view pattern = input.substr(0, cut);
  std::string_view text = input.substr(cut + 1);
  auto regex = match::Regex::compile(pattern);
  // Taken apart or whole, a pattern must mean the same: in a group it is not taken apart.
  auto whole = match::Regex::compile("(" + std::string(pattern) + ")");
  if (!regex.ok() || !whole.ok()) return;
  if (regex->full_match(text) != whole->full_match(text)) std::abort();
  ArenaPool pool;
  Arena arena(pool);
  auto rewrite = match::RegexRewrite::build({std::string(pattern), R"(<\0>)"});
  if (rewrite.ok()) rewrite->rewrite(text, arena);
}

}  // namespace
}  // namespace weir::route

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] % 4 == 0) {
    weir::route::run_regex(data + 1, size - 1);
  } else {
    weir::route::run(data + 1, size - 1);
  }
  return 0;
}
