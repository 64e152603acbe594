// Operations on a header map, read from the input, against a vector of pairs.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/http/chars.h"
#include "core/http/header_map.h"
#include "test/fuzz/input.h"

namespace {

using namespace weir;
using namespace weir::http;

using fuzz::Input;

void require(bool condition) { fuzz::require(condition, "the map differs from the model"); }

// Half of the names are well known, in mixed case.
std::string name(Input& input) {
  uint8_t kind = input.byte();
  if (kind % 2 == 0) return input.text();
  std::string result(name_of(static_cast<HeaderId>(input.byte() % kHeaderIdCount)));
  if (kind % 4 == 1 && !result.empty() && result[0] >= 'a') result[0] = static_cast<char>(result[0] - 32);
  return result;
}

std::string folded(std::string text) {
  for (char& c : text) c = to_lower(c);
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  ArenaPool pool;
  Arena arena(pool);
  HeaderMap map(arena);
  std::vector<std::pair<std::string, std::string>> model;
  Input input(data, size);
  while (!input.done()) {
    uint8_t operation = input.byte();
    std::string any_case = name(input);
    std::string lower = folded(any_case);
    HeaderName resolved(any_case);
    require(resolved.text() == lower);
    require(find_header_id(lower) == resolved.id());
    auto is_name = [&](const auto& entry) { return entry.first == lower; };
    auto first = std::find_if(model.begin(), model.end(), is_name);
    switch (operation % 8) {
      case 0:
      case 1: {
        std::string value = input.text();
        // Repeats reach the entries that first_ cannot index.
        for (int i = operation % 8 == 1 ? operation : 1; i > 0; --i) {
          map.add_copy(any_case, value);
          model.emplace_back(lower, value);
        }
        break;
      }
      case 2: {
        std::string value = input.text();
        map.set_copy(resolved, value);
        if (first == model.end()) {
          model.emplace_back(lower, value);
        } else {
          first->second = value;
          model.erase(std::remove_if(first + 1, model.end(), is_name), model.end());
        }
        break;
      }
      case 3:
        require(map.remove(resolved) == std::erase_if(model, is_name));
        break;
      case 4: {
        std::string value = input.text();
        map.append_value(resolved, value);
        if (first == model.end())
          model.emplace_back(lower, value);
        else
          first->second += "," + value;
        break;
      }
      case 6:
        // By number, with a view: names that have one only.
        if (resolved.id() == HeaderId::kNone) break;
        map.set(resolved.id(), "by number");
        if (first == model.end()) {
          model.emplace_back(lower, "by number");
        } else {
          first->second = "by number";
          model.erase(std::remove_if(first + 1, model.end(), is_name), model.end());
        }
        break;
      case 7:
        if (resolved.id() == HeaderId::kNone || first == model.end()) break;
        map.replace_first(resolved.id(), "first");
        first->second = "first";
        break;
      case 5: {
        size_t least = input.byte();
        size_t gone = std::erase_if(model, [&](const auto& entry) { return entry.second.size() > least; });
        require(map.remove_if([&](const HeaderEntry& entry) { return entry.value_size > least; }) == gone);
        break;
      }
    }
    if (model.size() > 2000) break;
    first = std::find_if(model.begin(), model.end(), is_name);
    require(map.size() == model.size());
    require(map.contains(resolved) == (first != model.end()));
    require(map.get(resolved) == (first != model.end() ? std::string_view(first->second) : std::string_view()));
    std::string all;
    for (const auto& entry : model) {
      if (is_name(entry)) all += (&entry != &*first ? "," : "") + entry.second;
    }
    ArenaPool scratch_pool;
    Arena scratch(scratch_pool);
    require(map.get_all(resolved, scratch) == all);
    require(map.count(resolved) == static_cast<size_t>(std::count_if(model.begin(), model.end(), is_name)));
  }
  std::string expected;
  size_t bytes = 0;
  for (const auto& [name, value] : model) {
    expected += name + ": " + value + "\n";
    bytes += name.size() + value.size();
  }
  require(map.to_string() == expected && map.byte_size() == bytes);
  int status = map.status_code();
  require(status == 0 || map.status() == std::string(3 - std::to_string(status).size(), '0') + std::to_string(status));
  Arena other(pool);
  HeaderMap copy(other);
  map.copy_to(copy);
  map.clear();
  arena.reset();
  require(copy.to_string() == expected);
  return 0;
}
