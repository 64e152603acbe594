// YAML as events. One document; more are an error.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/event.h"

namespace weir::config {

class YamlReader final : public EventSource {
 public:
  // `text` is checked UTF-8 and outlives the reader.
  YamlReader(std::string_view text, std::string_view file, Diagnostics& diagnostics);
  ~YamlReader() override;
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;

  Event next() override;

 private:
  struct Parser;

  Event fail(Place place, std::string message, std::string hint = "");
  Event fail_from_parser();
  void check_tag(std::string_view tag, Place place);
  bool fail_from_text(Place context, Place place);
  std::string_view view_problem() const;
  std::string_view line(uint32_t number) const;

  std::string_view text_;
  std::string file_;
  Diagnostics& diagnostics_;
  std::unique_ptr<Parser> parser_;
  int documents_ = 0;
  std::optional<Place> next_document_;  // the beginning of one in which nothing has been yet
  bool failed_ = false;
};

}  // namespace weir::config
