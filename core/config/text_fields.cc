#include "core/config/text_fields.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <map>

#include "core/base/message_path.h"

namespace weir::config {
namespace {

using google::protobuf::io::Tokenizer;

// The tokenizer counts a tab as up to eight columns.
size_t offset_in_text(const std::string& text, int line, int column) {
  size_t at = 0;
  for (int i = 0; i < line && at < text.size(); ++at) i += text[at] == '\n' ? 1 : 0;
  for (int i = 0; i < column && at < text.size(); ++at) i += text[at] == '\t' ? 8 - i % 8 : 1;
  return at;
}

std::string text_of_token(const Tokenizer::Token& token) {
  std::string text;
  if (token.type == Tokenizer::TYPE_STRING) Tokenizer::ParseString(token.text, &text);
  return text;
}

}  // namespace

TextFields::TextFields(const std::string& text) {
  google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
  Tokenizer tokenizer(&stream, this);
  tokenizer.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
  tokenizer.set_require_space_after_number(false);
  tokenizer.set_allow_multiline_strings(true);
  while (good_ && tokenizer.Next()) tokens_.push_back(tokenizer.current());
}

bool TextFields::blank(std::string& text, int line, int column) const {
  size_t at = tokens_until(line, column);
  if (at-- == 0) return false;
  size_t end = end_of_content(at);
  if (end == 0) {
    while (at > 0 && !begins_field(at)) --at;
    if (!begins_field(at)) return false;
    end = end_of_field(at);
  }
  if (end == 0) return false;
  const size_t from = offset_in_text(text, tokens_[at].line, tokens_[at].column);
  const size_t to = offset_in_text(text, tokens_[end].line, tokens_[end].column) + tokens_[end].text.size();
  for (size_t i = from; i < std::min(to, text.size()); ++i) {
    if (text[i] != '\n' && text[i] != '\t') text[i] = ' ';  // what is behind it stays where it is
  }
  return from < text.size();
}

size_t TextFields::tokens_until(int line, int column) const {
  size_t count = tokens_.size();
  while (count > 0 && place(count - 1) > std::pair(line, column)) --count;
  return count;
}

std::pair<int, int> TextFields::place_before(int line, int column) const {
  const size_t count = tokens_until(line, column - 1);
  return count == 0 ? std::pair(line, column) : place(count - 1);
}

std::pair<int, int> TextFields::place_of_type(int line, int column) const {
  size_t at = tokens_until(line, column);
  while (at > 0 && !is(at - 1, "[")) --at;
  return at == 0 || at == tokens_.size() ? std::pair(line, column) : place(at);
}

// A name, and a value behind it.
bool TextFields::begins_field(size_t at) const {
  return tokens_[at].type == Tokenizer::TYPE_IDENTIFIER && (at == 0 || !is(at - 1, ":")) &&
         (is(at + 1, ":") || is(at + 1, "{") || is(at + 1, "<"));
}

// Of what an Any holds, [type.googleapis.com/x.Y] { ... }, if `at` is in its type: it is moved to the bracket. The Any
// itself has to stay, for an entry of a map needs its value.
size_t TextFields::end_of_content(size_t& at) const {
  size_t begin = at;
  while (begin > 0 && (tokens_[begin].type == Tokenizer::TYPE_IDENTIFIER || is(begin, ".") || is(begin, "/"))) --begin;
  if (!is(begin, "[") || begin == 0 || is(begin - 1, ":") || begin == at) return 0;
  size_t end = begin;
  while (end < tokens_.size() && !is(end, "]")) ++end;
  end += is(end + 1, ":") ? 2 : 1;
  if (!opens(end) || is(end, "[")) return 0;
  for (int depth = 0; end < tokens_.size(); ++end) {
    depth += opens(end) ? 1 : closes(end) ? -1 : 0;
    if (depth == 0) break;
  }
  if (end == tokens_.size()) return 0;
  at = begin;
  return end;
}

size_t TextFields::end_of_field(size_t at) const {
  size_t end = at + 1 + (is(at + 1, ":") ? 1 : 0);
  if (end >= tokens_.size()) return 0;
  if (closes(end)) return end - 1;  // the value is missing
  if (opens(end)) {
    int depth = 0;
    for (; end < tokens_.size(); ++end) {
      depth += opens(end) ? 1 : closes(end) ? -1 : 0;
      if (depth == 0) return end;
    }
    return 0;
  }
  if (is(end, "-")) ++end;
  // Several texts in a row are one.
  while (end + 1 < tokens_.size() && tokens_[end].type == Tokenizer::TYPE_STRING &&
         tokens_[end + 1].type == Tokenizer::TYPE_STRING)
    ++end;
  return end < tokens_.size() ? end : 0;
}

// What is open after some tokens.
class TextFields::Walk {
 public:
  Walk(const TextFields& of, const google::protobuf::Descriptor& root) : of_(of), levels_(1) {
    levels_[0].type = &root;
  }

  // Takes the token, or several; returns the next one.
  size_t take(size_t at) {
    Level& top = levels_.back();
    if (of_.begins_field(at) && !top.list) {
      top.name = of_.tokens_[at].text;
      top.name_at = at;
      top.any = nullptr;
      top.field = top.type == nullptr ? nullptr : top.type->FindFieldByName(top.name);
      if (top.field != nullptr) ++top.count[top.field];
      if (top.is_entry() && top.name == "key" && of_.is(at + 1, ":") && at + 2 < of_.tokens_.size()) {
        top.key = text_of_token(of_.tokens_[at + 2]);
      }
    } else if (of_.is(at, "[") && (of_.is(at - 1, ":") || top.list || at == 0)) {
      levels_.emplace_back();
      levels_.back().list = true;
    } else if (of_.is(at, "[")) {
      // [type.googleapis.com/x.Y] { ... }: what an Any holds.
      std::string url;
      for (++at; at < of_.tokens_.size() && !of_.is(at, "]"); ++at) url += of_.tokens_[at].text;
      top.field = nullptr;
      top.name.clear();
      top.any =
          google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
    } else if (of_.is(at, "{") || of_.is(at, "<")) {
      Level next;
      const Level& holder = levels_[holder_of_values()];
      next.type = holder.any != nullptr ? holder.any : holder.field != nullptr ? holder.field->message_type() : nullptr;
      levels_.push_back(std::move(next));
    } else if (of_.is(at, ",") && top.list) {
      Level& holder = levels_[holder_of_values()];
      if (holder.field != nullptr) ++holder.count[holder.field];
    } else if (of_.closes(at) && levels_.size() > 1) {
      const bool lacks_value = top.lacks_value();
      levels_.pop_back();
      if (lacks_value) valueless_ = Valueless{of_.place(levels_[holder_of_values()].name_at), of_.place(at)};
    }
    return at + 1;
  }

  // Of an entry whose end was the last that was taken.
  const std::optional<Valueless>& valueless() const { return valueless_; }

  Where where() const {
    Where out;
    for (size_t i = 0; i < levels_.size(); ++i) {
      const Level& level = levels_[i];
      if (level.list) continue;
      out.open.push_back({level.type, level.field, false});
      out.secret = out.secret || (level.field != nullptr && may_hold_secret(*level.field));
      const bool last = i + 1 == levels_.size() || (i + 2 == levels_.size() && levels_.back().list);
      if (last) {
        if (!level.is_entry()) out.name = level.name;
      } else if (level.field != nullptr && !level.is_entry()) {
        append_path_name(out.path, level.field->name());
        if (level.field->is_map()) {
          const std::string& key =
              levels_[i + 1].list ? levels_[std::min(i + 2, levels_.size() - 1)].key : levels_[i + 1].key;
          if (!key.empty()) append_path_name(out.path, key);
        } else if (level.field->is_repeated()) {
          append_path_item(out.path, level.count.at(level.field) - 1);
        }
      }
    }
    return out;
  }

 private:
  struct Level {
    const google::protobuf::Descriptor* type = nullptr;  // nullptr: not known
    const google::protobuf::FieldDescriptor* field = nullptr;
    const google::protobuf::Descriptor* any = nullptr;  // what an Any holds
    std::string name;
    size_t name_at = 0;  // its token
    std::string key;     // of an entry of a map
    bool list = false;   // [ ... ]: its values are of the level outside
    std::map<const google::protobuf::FieldDescriptor*, size_t> count;

    bool is_entry() const { return type != nullptr && type->options().map_entry(); }
    bool lacks_value() const {
      return is_entry() && type->map_value()->message_type() != nullptr && !count.contains(type->map_value());
    }
  };

  size_t holder_of_values() const {
    size_t at = levels_.size() - 1;
    while (at > 0 && levels_[at].list) --at;
    return at;
  }

  const TextFields& of_;
  std::vector<Level> levels_;
  std::optional<Valueless> valueless_;
};

TextFields::Where TextFields::where(const google::protobuf::Descriptor& root, int line, int column) const {
  Walk walk(*this, root);
  size_t at = 0;
  const std::pair wanted(line, column);
  while (at < tokens_.size() && place(at) <= wanted) {
    // A value is missing in front of it.
    if (closes(at) && place(at) == wanted) break;
    at = walk.take(at);
  }
  return walk.where();
}

std::optional<TextFields::Valueless> TextFields::entry_without_value(const google::protobuf::Descriptor& root) const {
  Walk walk(*this, root);
  for (size_t at = 0; at < tokens_.size() && !walk.valueless();) at = walk.take(at);
  return walk.valueless();
}

}  // namespace weir::config
