// A random matcher tree and random facts: the compiled tree must find what the naive walker finds. And path templates
// from the input as it is: what parses must match nothing outside of its promised prefix.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/match/path_template.h"
#include "test/core/match/random_tree.h"
#include "test/fuzz/input.h"

namespace weir::match {
namespace {

using fuzz::ByteChoices;

void run_tree(const uint8_t* data, size_t size) {
  ByteChoices choices(data, size), again(data, size);
  MatcherSpec spec = RandomSpec(choices).matcher(3);
  auto tree = Tree::build(RandomSpec(again).matcher(3));
  if (!tree.ok()) std::abort();
  for (int i = 0; i < 20 && !choices.used_up(); ++i) {
    RandomFacts facts(choices);
    std::string expected = walked(spec, facts.facts);
    std::string found = evaluated(**tree, facts.facts);
    if (found == expected) continue;
    std::fprintf(stderr, "found %s, expected %s\n", found.c_str(), expected.c_str());
    std::abort();
  }
}

void run_template(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  size_t cut = input.find('\n');
  if (cut == std::string_view::npos) return;
  auto from = PathTemplate::parse(input.substr(0, cut));
  if (!from.ok()) return;
  std::string_view path = input.substr(cut + 1);
  size_t second = path.find('\n');
  auto rewrite = PathTemplateRewrite::parse(path.substr(0, second), *from);
  if (second != std::string_view::npos) path = path.substr(second + 1);
  if (from->matches(path) && !path.starts_with(from->required_prefix())) std::abort();
  if (!rewrite.ok()) return;
  ArenaPool pool;
  Arena arena(pool);
  if (!from->matches(path) && rewrite->rewrite(*from, path, arena) != path) std::abort();
}

}  // namespace
}  // namespace weir::match

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] % 4 == 0) {
    weir::match::run_template(data + 1, size - 1);
  } else {
    weir::match::run_tree(data + 1, size - 1);
  }
  return 0;
}
