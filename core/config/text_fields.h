// protobuf's text format, token by token: where each field is, so that an error of the parser, which has a line, a
// column and no more, can say which field it is about, and reading can go on behind that.
#pragma once
#include <google/protobuf/io/tokenizer.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/field_hints.h"

namespace weir::config {

class TextFields final : public google::protobuf::io::ErrorCollector {
 public:
  explicit TextFields(const std::string& text);

  // Lines and columns count from 0, as the parser's do.
  // Blanks the innermost field that holds this place; false: there is none, or it has no end.
  bool blank(std::string& text, int line, int column) const;
  // Of an error that the parser tells behind what it is about, the place of that.
  std::pair<int, int> place_before(int line, int column) const;
  // Behind [type.googleapis.com/x.Y], that of the type.
  std::pair<int, int> place_of_type(int line, int column) const;

  // The field at a place in a message of `root`.
  struct Where {
    std::vector<OpenMessage> open;  // from the outside in; the last one's field is what the place is about
    std::string path;               // without the last field
    std::string name;               // of that field, which need not exist
    bool secret = false;            // it is, or is in, a field that may hold one
  };
  Where where(const google::protobuf::Descriptor& root, int line, int column) const;

  // An entry of a map of messages that has a key at most; where() of its end has the key in its path.
  struct Valueless {
    std::pair<int, int> field;  // of the map
    std::pair<int, int> end;
  };
  // The first one; none if every entry has a value.
  std::optional<Valueless> entry_without_value(const google::protobuf::Descriptor& root) const;

  void AddError(int, int, const std::string&) override { good_ = false; }

 private:
  class Walk;

  bool is(size_t at, std::string_view text) const { return at < tokens_.size() && tokens_[at].text == text; }
  bool opens(size_t at) const { return is(at, "{") || is(at, "<") || is(at, "["); }
  bool closes(size_t at) const { return is(at, "}") || is(at, ">") || is(at, "]"); }
  std::pair<int, int> place(size_t at) const { return {tokens_[at].line, tokens_[at].column}; }
  // How many tokens begin before this place, or there.
  size_t tokens_until(int line, int column) const;
  bool begins_field(size_t at) const;
  size_t end_of_field(size_t at) const;
  size_t end_of_content(size_t& at) const;

  bool good_ = true;
  std::vector<google::protobuf::io::Tokenizer::Token> tokens_;
};

}  // namespace weir::config
