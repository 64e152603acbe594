// JSON (RFC 8259, nothing more lenient) as events. Text that is JSON is read by this and not as YAML, although nearly
// all JSON is YAML: surrogate pairs, keys above 1024 bytes and some tabs are not.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/event.h"

namespace weir::config {

class JsonReader final : public EventSource {
 public:
  // `text` is checked UTF-8 and outlives the reader. Without diagnostics it only tells whether the text is JSON.
  JsonReader(std::string_view text, std::string_view file, Diagnostics* diagnostics);

  Event next() override;

 private:
  enum class Expect { kValue, kValueOrEnd, kKey, kKeyOrEnd, kColon, kCommaOrEnd, kNothing };

  Event fail(size_t offset, std::string message, std::string hint = "");
  Event fail_at_unknown(const char* what);
  Event string();
  Event literal();
  Event opened(EventKind kind);
  Event closed();
  void after_value();
  bool hex4(size_t at, uint32_t& out) const;
  Place here();  // of at_, counted on from the last call
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::string_view text_;
  std::string file_;
  Diagnostics* diagnostics_;
  std::string decoded_;
  std::vector<char> open_;  // '{' and '['
  Expect expect_ = Expect::kValue;
  size_t at_ = 0;
  size_t placed_ = 0;
  Place place_{1, 1};
  bool failed_ = false;
};

// Whether all of `text` is JSON.
bool is_json(std::string_view text);

}  // namespace weir::config
