#include "core/server/field_diff.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "core/base/assert.h"
#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/server/admin/redact.h"

namespace weir::server {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kBriefBytes = 80;

// A message, and the same without secrets. What is compared is the first, what is shown is the second.
struct Pair {
  const Message* real = nullptr;
  const Message* shown = nullptr;
};

std::unique_ptr<Message> unpacked(const Any& any) {
  const std::string& url = any.type_url();
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  if (type == nullptr) return nullptr;
  std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  return message->ParseFromString(any.value()) ? std::move(message) : nullptr;
}

bool is_wrapper(const Message& message) {
  const auto* type = message.GetDescriptor();
  return type->file()->name() == "google/protobuf/wrappers.proto";
}

std::string bytes_text(const std::string& value) { return "(" + std::to_string(value.size()) + " bytes)"; }

std::string text_of(const Message& message);

// One value; `index` -1: of a field that is no list.
std::string value_text(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& from = *message.GetReflection();
  const bool item = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(item ? from.GetRepeatedInt32(message, &field, index) : from.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(item ? from.GetRepeatedInt64(message, &field, index) : from.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(item ? from.GetRepeatedUInt32(message, &field, index) : from.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(item ? from.GetRepeatedUInt64(message, &field, index) : from.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const bool wide = field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
      const double value =
          wide ? (item ? from.GetRepeatedDouble(message, &field, index) : from.GetDouble(message, &field))
               : static_cast<double>(item ? from.GetRepeatedFloat(message, &field, index)
                                          : from.GetFloat(message, &field));
      char text[32];
      snprintf(text, sizeof text, "%g", value);
      return text;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return (item ? from.GetRepeatedBool(message, &field, index) : from.GetBool(message, &field)) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = item ? from.GetRepeatedEnumValue(message, &field, index) : from.GetEnumValue(message, &field);
      const auto* value = field.enum_type()->FindValueByNumber(number);
      return value != nullptr ? value->name() : std::to_string(number);
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = item ? from.GetRepeatedString(message, &field, index) : from.GetString(message, &field);
      return field.type() == FieldDescriptor::TYPE_BYTES && text != "[redacted]" ? bytes_text(text)
                                                                                 : config::shown(text);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return text_of(item ? from.GetRepeatedMessage(message, &field, index) : from.GetMessage(message, &field));
  }
  return {};
}

// The values of a message one after another, as far as they fit.
void brief(const Message& message, std::string& out) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (out.size() > kBriefBytes) return;
    if (!out.empty() && out.back() != '{') out += ", ";
    out += field->name() + ": ";
    if (!field->is_repeated()) {
      out += value_text(message, *field, -1);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, field);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      out += size == 1 ? "[" + value_text(message, *field, 0) + "]" : "[" + std::to_string(size) + " items]";
      continue;
    }
    out += '[';
    for (int i = 0; i < size && out.size() <= kBriefBytes; ++i)
      out += (i > 0 ? ", " : "") + value_text(message, *field, i);
    out += ']';
  }
}

std::string text_of(const Message& message) {
  if (const auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(&message))
    return google::protobuf::util::TimeUtil::ToString(*duration);
  if (is_wrapper(message)) return value_text(message, *message.GetDescriptor()->field(0), -1);
  if (const auto* any = google::protobuf::DynamicCastToGenerated<Any>(&message)) {
    auto inner = unpacked(*any);
    std::string type = any->type_url().substr(any->type_url().rfind('.') + 1);
    return inner != nullptr && inner->ByteSizeLong() > 0 ? type + " " + text_of(*inner) : type;
  }
  std::string out = "{";
  brief(message, out);
  if (out.size() > kBriefBytes) {
    out.resize(kBriefBytes - 4);
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
    out += "...";
  }
  return out + "}";
}

class Walk {
 public:
  Walk(size_t limit, std::vector<FieldChange>& out, size_t& more) : limit_(limit), out_(out), more_(more) {}

  void messages(Pair before, Pair after) {
    if (is_leaf(*before.real)) return leaf(*before.real, *after.real, *before.shown, *after.shown);
    if (before.real->GetDescriptor() == Any::descriptor()) return anys(before, after);
    const auto* type = before.real->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor& field = *type->field(i);
      const size_t size = path_.size();
      append_path_name(path_, field.name());
      if (field.is_map()) {
        map(before, after, field);
      } else if (field.is_repeated()) {
        list(before, after, field);
      } else {
        single(before, after, field);
      }
      path_.resize(size);
    }
  }

 private:
  static bool is_leaf(const Message& message) {
    return is_wrapper(message) || message.GetDescriptor() == google::protobuf::Duration::descriptor();
  }
  static bool equal(const Message& a, const Message& b) {
    return google::protobuf::util::MessageDifferencer::Equals(a, b);
  }

  void add(std::string before, std::string after) {
    if (out_.size() < limit_) {
      out_.push_back({path_, std::move(before), std::move(after)});
    } else {
      ++more_;
    }
  }
  void leaf(const Message& before, const Message& after, const Message& before_shown, const Message& after_shown) {
    if (!equal(before, after)) add(text_of(before_shown), text_of(after_shown));
  }

  void single(Pair before, Pair after, const FieldDescriptor& field) {
    const Reflection& from = *before.real->GetReflection();
    const bool was = from.HasField(*before.real, &field);
    const bool is = from.HasField(*after.real, &field);
    if (!was && !is) return;
    if (was && is && field.message_type() != nullptr) return messages(inner(before, field), inner(after, field));
    // A field without presence that is not set has its default, which the others may not be told from.
    if (was && is && raw(*before.real, field) == raw(*after.real, field)) return;
    add(was ? value_text(*before.shown, field, -1) : "", is ? value_text(*after.shown, field, -1) : "");
  }
  // For comparing: with secrets and not shortened.
  static std::string raw(const Message& message, const FieldDescriptor& field, int index = -1) {
    const Reflection& from = *message.GetReflection();
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_STRING) return value_text(message, field, index);
    return index >= 0 ? from.GetRepeatedString(message, &field, index) : from.GetString(message, &field);
  }

  static Pair inner(Pair of, const FieldDescriptor& field) {
    return {&of.real->GetReflection()->GetMessage(*of.real, &field),
            &of.shown->GetReflection()->GetMessage(*of.shown, &field)};
  }
  // Instead of what redacting has taken out.
  static const Message& nothing(const FieldDescriptor& field) {
    return *google::protobuf::MessageFactory::generated_factory()->GetPrototype(field.message_type());
  }
  static Pair item(Pair of, const FieldDescriptor& field, int index) {
    const Reflection& shown = *of.shown->GetReflection();
    return {&of.real->GetReflection()->GetRepeatedMessage(*of.real, &field, index),
            index < shown.FieldSize(*of.shown, &field) ? &shown.GetRepeatedMessage(*of.shown, &field, index)
                                                       : &nothing(field)};
  }

  void anys(Pair before, Pair after) {
    const auto& was = static_cast<const Any&>(*before.real);
    const auto& is = static_cast<const Any&>(*after.real);
    if (was.type_url() == is.type_url() && was.value() == is.value()) return;
    auto real_before = unpacked(was), real_after = unpacked(is);
    auto shown_before = unpacked(static_cast<const Any&>(*before.shown));
    auto shown_after = unpacked(static_cast<const Any&>(*after.shown));
    const bool same_type = real_before != nullptr && real_after != nullptr &&
                           real_before->GetDescriptor() == real_after->GetDescriptor() && shown_before != nullptr &&
                           shown_after != nullptr && shown_before->GetDescriptor() == real_before->GetDescriptor() &&
                           shown_after->GetDescriptor() == real_after->GetDescriptor();
    if (same_type) return messages({real_before.get(), shown_before.get()}, {real_after.get(), shown_after.get()});
    add(text_of(*before.shown), text_of(*after.shown));
  }

  void map(Pair before, Pair after, const FieldDescriptor& field) {
    struct Sides {
      int before = -1;
      int after = -1;
    };
    std::map<std::string, Sides> keys;
    const auto* key_field = field.message_type()->map_key();
    const auto* value_field = field.message_type()->map_value();
    auto key_of = [&](Pair of, int i) { return raw(*item(of, field, i).real, *key_field); };
    const Reflection& from = *before.real->GetReflection();
    for (int i = 0; i < from.FieldSize(*before.real, &field); ++i) keys[key_of(before, i)].before = i;
    for (int i = 0; i < from.FieldSize(*after.real, &field); ++i) keys[key_of(after, i)].after = i;
    for (const auto& [key, sides] : keys) {
      const size_t size = path_.size();
      append_path_name(path_, key);
      auto text = [&, &name = key](Pair of, int i) {  // clang 14 captures no structured binding
        if (i < 0) return std::string();
        const Message& entry = find_shown(of, field, *key_field, name);
        return value_text(entry, *value_field, -1);
      };
      if (sides.before < 0 || sides.after < 0) {
        add(text(before, sides.before), text(after, sides.after));
      } else {
        const Message& was = *item(before, field, sides.before).real;
        const Message& is = *item(after, field, sides.after).real;
        Pair shown_was{&was, &find_shown(before, field, *key_field, key)};
        Pair shown_is{&is, &find_shown(after, field, *key_field, key)};
        if (value_field->message_type() != nullptr) {
          messages(inner(shown_was, *value_field), inner(shown_is, *value_field));
        } else if (raw(was, *value_field) != raw(is, *value_field)) {
          add(text(before, sides.before), text(after, sides.after));
        }
      }
      path_.resize(size);
    }
  }
  static const Message& find_shown(Pair of, const FieldDescriptor& field, const FieldDescriptor& key_field,
                                   const std::string& key) {
    const Reflection& from = *of.shown->GetReflection();
    for (int i = 0; i < from.FieldSize(*of.shown, &field); ++i) {
      const Message& entry = from.GetRepeatedMessage(*of.shown, &field, i);
      if (raw(entry, key_field) == key) return entry;
    }
    return nothing(field);
  }

  void list(Pair before, Pair after, const FieldDescriptor& field) {
    const Reflection& from = *before.real->GetReflection();
    const int was = from.FieldSize(*before.real, &field);
    const int is = from.FieldSize(*after.real, &field);
    if (field.message_type() == nullptr) return values(before, after, field, was, is);
    if (auto names = names_of(before, after, field)) return named(before, after, field, *names);
    auto same = [&](int i, int j) { return equal(*item(before, field, i).real, *item(after, field, j).real); };
    int front = 0;
    while (front < was && front < is && same(front, front)) ++front;
    int back = 0;
    while (front + back < was && front + back < is && same(was - 1 - back, is - 1 - back)) ++back;
    const int paired = std::min(was, is) - front - back;
    for (int i = front; i < front + paired; ++i) pair(before, after, field, i, i);
    for (int i = front + paired; i < was - back; ++i) pair(before, after, field, i, -1);
    for (int i = front + paired; i < is - back; ++i) pair(before, after, field, -1, i);
  }

  // Names to their places in both lists, if every item has one and none twice.
  using Names = std::map<std::string, std::pair<int, int>>;
  std::optional<Names> names_of(Pair before, Pair after, const FieldDescriptor& field) const {
    const FieldDescriptor* name = field.message_type()->FindFieldByName("name");
    if (name == nullptr || name->is_repeated() || name->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return {};
    Names names;
    for (int side = 0; side < 2; ++side) {
      Pair of = side == 0 ? before : after;
      for (int i = 0; i < of.real->GetReflection()->FieldSize(*of.real, &field); ++i) {
        std::string text = raw(*item(of, field, i).real, *name);
        if (text.empty()) return {};
        auto& places = names.try_emplace(std::move(text), -1, -1).first->second;
        int& place = side == 0 ? places.first : places.second;
        if (place >= 0) return {};
        place = i;
      }
    }
    return names;
  }
  void named(Pair before, Pair after, const FieldDescriptor& field, const Names& names) {
    // In the order of the new list, then what is gone.
    std::vector<std::pair<int, int>> places;
    for (const auto& [name, place] : names) places.push_back(place);
    std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) {
      return std::pair(static_cast<unsigned>(a.second), a.first) < std::pair(static_cast<unsigned>(b.second), b.first);
    });
    int last = -1;
    bool moved = false;
    for (const auto& [was, is] : places) {
      pair(before, after, field, was, is);
      if (was >= 0 && is >= 0) {
        moved = moved || was < last;
        last = was;
      }
    }
    if (moved) add("in this order", "in another order");
  }
  void pair(Pair before, Pair after, const FieldDescriptor& field, int was, int is) {
    const size_t size = path_.size();
    append_path_item(path_, static_cast<size_t>(is >= 0 ? is : was));
    if (was >= 0 && is >= 0) {
      messages(item(before, field, was), item(after, field, is));
    } else {
      add(was >= 0 ? text_of(*item(before, field, was).shown) : "",
          is >= 0 ? text_of(*item(after, field, is).shown) : "");
    }
    path_.resize(size);
  }
  void values(Pair before, Pair after, const FieldDescriptor& field, int was, int is) {
    auto all = [&](const Message& of, int size, bool shown) {
      std::string text = "[";
      for (int i = 0; i < size && (!shown || text.size() < kBriefBytes); ++i) {
        if (i > 0) text += ", ";
        text += shown ? value_text(of, field, i) : std::to_string(raw(of, field, i).size()) + ":" + raw(of, field, i);
      }
      return shown && text.size() >= kBriefBytes ? text + ", ...]" : text + "]";
    };
    if (all(*before.real, was, false) == all(*after.real, is, false)) return;
    add(was > 0 ? all(*before.shown, was, true) : "", is > 0 ? all(*after.shown, is, true) : "");
  }

  const size_t limit_;
  std::vector<FieldChange>& out_;
  size_t& more_;
  std::string path_;
};

std::unique_ptr<Message> without_secrets(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  admin::redact(*copy);
  return copy;
}

}  // namespace

std::vector<FieldChange> diff_fields(const Message& before, const Message& after, size_t limit, size_t& more) {
  std::vector<FieldChange> out;
  auto shown_before = without_secrets(before);
  auto shown_after = without_secrets(after);
  more = 0;
  Walk(limit, out, more).messages({&before, shown_before.get()}, {&after, shown_after.get()});
  return out;
}

}  // namespace weir::server
