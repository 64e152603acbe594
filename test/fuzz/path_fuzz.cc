// Path sanitising with every combination of options: what is left has nothing to sanitise, and queries stay.
#include <cstdint>
#include <string>

#include "core/http/path.h"
#include "core/http/url.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::http;
  if (size < 1) return 0;
  auto require = [&](bool condition) {
    fuzz::require(condition, "the path is not what was asked for", {reinterpret_cast<const char*>(data), size});
  };
  PathOptions options;
  options.normalize = (data[0] & 1) != 0;
  options.merge_slashes = (data[0] & 2) != 0;
  options.escaped_slashes = static_cast<EscapedSlashes>((data[0] >> 2) % 5);
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  ArenaPool pool;
  Arena arena(pool);

  HostPort parts;
  if (is_valid_authority(text)) require(split_host_port(text, parts) && !parts.host.empty());
  strip_matching_port(text, 80);

  std::string_view result;
  PathVerdict verdict = sanitize_path(text, options, arena, result);
  if (verdict == PathVerdict::kUnchanged) require(result == text);
  if (verdict == PathVerdict::kUnchanged || verdict == PathVerdict::kReject) return 0;
  require(result != text && result.size() <= text.size() && result.front() == '/');
  require(split_path(result).query == split_path(text).query);
  std::string path(path_of(result));
  if (options.merge_slashes) require(path.find("//") == std::string::npos);
  if (options.normalize) {
    require(path.find('\\') == std::string::npos);
    require((path + "/").find("/../") == std::string::npos && (path + "/").find("/./") == std::string::npos);
  }
  // Nothing comes out that would have been changed on its way in.
  std::string again(result);
  require(sanitize_path(again, options, arena, result) == PathVerdict::kUnchanged);
  return 0;
}
