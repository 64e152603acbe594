#include "core/config/message_builder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/config/default_types.h"
#include "core/config/field_hints.h"
#include "core/config/scalars.h"

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

WellKnown well_known_kind(const Descriptor& type) {
  static const std::unordered_map<std::string_view, WellKnown> kKinds = {
      {"google.protobuf.Any", WellKnown::kAny},
      {"google.protobuf.Duration", WellKnown::kDuration},
      {"google.protobuf.Timestamp", WellKnown::kTimestamp},
      {"google.protobuf.Struct", WellKnown::kStruct},
      {"google.protobuf.Value", WellKnown::kValue},
      {"google.protobuf.ListValue", WellKnown::kListValue},
      {"google.protobuf.FieldMask", WellKnown::kFieldMask},
      {"google.protobuf.BoolValue", WellKnown::kWrapper},
      {"google.protobuf.StringValue", WellKnown::kWrapper},
      {"google.protobuf.BytesValue", WellKnown::kWrapper},
      {"google.protobuf.Int32Value", WellKnown::kWrapper},
      {"google.protobuf.UInt32Value", WellKnown::kWrapper},
      {"google.protobuf.Int64Value", WellKnown::kWrapper},
      {"google.protobuf.UInt64Value", WellKnown::kWrapper},
      {"google.protobuf.FloatValue", WellKnown::kWrapper},
      {"google.protobuf.DoubleValue", WellKnown::kWrapper},
      {"xds.type.v3.TypedStruct", WellKnown::kTypedStruct},
      {"udpa.type.v1.TypedStruct", WellKnown::kTypedStruct},
  };
  const auto known = kKinds.find(type.full_name());
  return known == kKinds.end() ? WellKnown::kNone : known->second;
}

// A text where such a message belongs is likely what one of its fields should hold: a key, a password.
bool consists_of_secrets(const Descriptor& type) {
  const std::string_view name = type.full_name();
  return name == "envoy.config.core.v3.DataSource" || name.starts_with("envoy.extensions.transport_sockets.tls.");
}

// id:edge is a text in YAML, though hardly meant as one. 10.0.0.1:80 is.
bool is_glued_key(std::string_view text) {
  const size_t colon = text.find_first_of(": ");
  return colon != std::string_view::npos && text[colon] == ':' && colon + 1 < text.size() && text[colon + 1] != '/' &&
         !(text[colon + 1] >= '0' && text[colon + 1] <= '9');
}

}  // namespace

std::string kind_of(const Event& event) {
  switch (event.kind) {
    case EventKind::kMappingStart:
      return "a mapping";
    case EventKind::kSequenceStart:
      return "a list";
    default:
      break;
  }
  if (!event.plain) {
    return "a text";
  }
  if (is_null(event.value)) {
    return "nothing";
  }
  return parse_double(event.value) ? "a number" : parse_bool(event.value, false) ? "true or false" : "a text";
}

MessageBuilder::MessageBuilder(EventCursor& cursor, std::string_view file, PositionIndex& index,
                               Diagnostics& diagnostics, const LoadOptions& options, bool yaml)
    : cursor_(cursor), file_(file), index_(index), diagnostics_(diagnostics), options_(options), yaml_(yaml) {}

void MessageBuilder::build(Message& out) {
  const Event first = cursor_.next();
  if (first.kind == EventKind::kFailed) {
    return;
  }
  if (first.kind == EventKind::kEnd || is_null_event(first)) {
    report(Severity::kError, {1, 1}, "", "the file is empty", "", "", "write {} if that is meant");
    return;
  }
  if (first.kind != EventKind::kMappingStart && info(*out.GetDescriptor()).kind == WellKnown::kNone) {
    // Nothing that comes after it can be right.
    std::string hint;
    if (first.kind == EventKind::kScalar && first.value.starts_with('<')) {
      hint = "this is HTML or XML";
    } else if (out.GetDescriptor()->name() == "Bootstrap") {
      hint = "begin with a key such as static_resources:";
    }
    wrong_kind(first, "a mapping with the fields of " + out.GetDescriptor()->name(), std::move(hint));
    return;
  }
  message(out, first);
  const Event end = cursor_.next();
  if (end.kind != EventKind::kEnd && end.kind != EventKind::kFailed) {
    report(Severity::kError, end.place, "", "something follows the end of the configuration");
  }
}

const MessageInfo& MessageBuilder::info(const Descriptor& type) {
  std::unique_ptr<MessageInfo>& info = infos_[&type];
  if (info == nullptr) {
    info = std::make_unique<MessageInfo>();
    info->kind = well_known_kind(type);
    info->holds_extension = holds_extension(type.full_name());
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor* field = type.field(i);
      info->fields[field->name()] = {field, may_hold_secret(*field)};
    }
    for (int i = 0; i < type.field_count(); ++i) {
      // A name always beats another field's camel case.
      const FieldDescriptor* field = type.field(i);
      info->fields.try_emplace(field->json_name(), KnownField{field, may_hold_secret(*field)});
    }
  }
  return *info;
}

bool MessageBuilder::too_deep(const Event& first) {
  if (depth_ < options_.max_depth) {
    return false;
  }
  if (!depth_reported_) {
    depth_reported_ = true;
    error(first.place, "more than " + std::to_string(options_.max_depth) + " levels inside each other");
  }
  cursor_.skip(first);
  return true;
}

void MessageBuilder::message(Message& out, const Event& first) {
  if (too_deep(first)) {
    return;
  }
  ++depth_;
  const WellKnown kind = info(*out.GetDescriptor()).kind;
  if (kind == WellKnown::kNone || !well_known(kind, out, first)) {
    if (first.kind == EventKind::kMappingStart) {
      MapWalk walk(*this);
      fields(out, walk);
    } else {
      const std::string wanted = "a mapping with the fields of " + out.GetDescriptor()->name();
      std::string hint;
      const bool secret = first.kind == EventKind::kScalar && consists_of_secrets(*out.GetDescriptor());
      secret_ += secret ? 1 : 0;
      if (first.kind == EventKind::kScalar) {
        const bool glued = first.plain && yaml_ && is_glued_key(first.value);
        hint = glued ? "if this is a key, put a space after the ':'"
                     : message_from_text_hint(*out.GetDescriptor(), first.value, secret_ > 0);
      }
      wrong_kind(first, wanted, std::move(hint));
      secret_ -= secret ? 1 : 0;
      cursor_.skip(first);
    }
  }
  --depth_;
}

void MessageBuilder::fields(Message& out, MapWalk& walk) {
  struct Seen {
    const FieldDescriptor* field;
    Place place;
    bool set;
  };
  std::vector<Seen> seen;
  const MessageInfo& known = info(*out.GetDescriptor());
  open_.push_back({out.GetDescriptor(), nullptr, std::exchange(for_list_, false)});
  ended_.clear();
  Event key;
  while (walk.next(key)) {
    const auto at = known.fields.find(key.value);
    if (at == known.fields.end()) {
      unknown_field(key, &out);
      cursor_.skip(cursor_.next());
      continue;
    }
    const FieldDescriptor* const field = at->second.field;  // no binding: clang 14 captures none
    const bool secret = at->second.secret;
    const Place place = key.place;
    const auto before = std::find_if(seen.begin(), seen.end(), [&](const Seen& s) { return s.field == field; });
    if (before != seen.end()) {
      if (!walk.merging()) {
        std::string path = index_.current_path();
        append_path_name(path, field->name());
        report(Severity::kError, place, path,
               "duplicate key; it is at line " + std::to_string(before->place.line) + " already", "", "", "keep one");
      }
      cursor_.skip(cursor_.next());
      continue;
    }
    const Event value = cursor_.next();
    if (value.kind == EventKind::kFailed) {
      return;  // the text ends here: there is nothing of which to say where it stands
    }
    const bool null_is_value = !field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
                               info(*field->message_type()).kind == WellKnown::kValue;
    if (is_null_event(value) && !null_is_value) {  // as if it did not stand there
      seen.push_back({field, place, false});
      continue;
    }
    index_.enter_field(field->name(), value.kind == EventKind::kScalar ? value.place : place);
    open_.back().field = field;
    secret_ += secret ? 1 : 0;
    const auto* const oneof = field->real_containing_oneof();
    const auto rival = oneof == nullptr ? seen.end() : std::find_if(seen.begin(), seen.end(), [&](const Seen& s) {
      return s.set && s.field->real_containing_oneof() == oneof;
    });
    if (rival != seen.end()) {
      error(place,
            field->name() + " and " + rival->field->name() + " (line " + std::to_string(rival->place.line) +
                ") exclude each other",
            "", "", "keep one");
      excluded(out, *field, value);
    } else {
      this->field(out, *field, value);
    }
    const bool set = rival == seen.end();
    secret_ -= secret ? 1 : 0;
    open_.back().field = nullptr;
    index_.leave();
    if (!field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
        info(*field->message_type()).kind == WellKnown::kNone) {
      ended_.push_back(field);
    } else {
      ended_.clear();
    }
    seen.push_back({field, place, set});
  }
  open_.pop_back();
  if (known.holds_extension) {
    default_extension(out);
  }
}

void MessageBuilder::default_extension(Message& out) {
  const Descriptor& type = *out.GetDescriptor();
  const google::protobuf::Reflection& reflection = *out.GetReflection();
  const FieldDescriptor* config = type.FindFieldByName("typed_config");
  // "typed_config: {}" says as little as none at all.
  if (reflection.HasField(out, config) && reflection.GetMessage(out, config).ByteSizeLong() == 0)
    reflection.ClearField(&out, config);
  if (reflection.HasField(out, config) ||
      (config->containing_oneof() != nullptr && reflection.HasOneof(out, config->containing_oneof()))) {
    return;
  }
  const std::string name = reflection.GetString(out, type.FindFieldByName("name"));
  const std::string_view parent = open_.empty() ? std::string_view() : open_.back().type->full_name();
  if (const std::string_view is = default_type(type.full_name(), name, parent); !is.empty()) {
    Message& any = *reflection.MutableMessage(&out, config);
    any.GetReflection()->SetString(&any, any.GetDescriptor()->FindFieldByNumber(1),
                                   std::string(kTypePrefix).append(is));
  }
}

void MessageBuilder::excluded(Message& out, const FieldDescriptor& field, const Event& value) {
  index_.note_excluded();
  if (options_.alternative == Alternative::kLast) return this->field(out, field, value);
  const std::unique_ptr<Message> instead(out.New());
  this->field(*instead, field, value);
}

void MessageBuilder::field(Message& out, const FieldDescriptor& field, const Event& value) {
  if (field.is_map()) {
    map_field(out, field, value);
  } else if (field.is_repeated()) {
    repeated(out, field, value);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    message(*out.GetReflection()->MutableMessage(&out, &field), value);
  } else {
    scalar(out, field, value, false);
  }
}

void MessageBuilder::repeated(Message& out, const FieldDescriptor& field, const Event& value) {
  const bool of_messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  const bool null_is_value = of_messages && info(*field.message_type()).kind == WellKnown::kValue;
  // What a reload replaces by itself.
  const bool resources = of_messages && open_.size() == 2 && field.containing_type()->name() == "StaticResources";
  const auto item = [&](const Event& event, uint32_t number) {
    index_.enter_item(number, event.place);
    if (resources) {
      cursor_.begin_digest(event);
    }
    if (is_null_event(event) && !null_is_value) {
      error(event.place, "this list item is empty", "", "", "remove it or give it a value");
      if (of_messages) out.GetReflection()->AddMessage(&out, &field);  // those behind it keep their numbers
    } else if (of_messages) {
      message(*out.GetReflection()->AddMessage(&out, &field), event);
    } else {
      scalar(out, field, event, true);
    }
    if (resources) {
      index_.set_digest(cursor_.digest());
    }
    index_.leave();
  };
  if (value.kind != EventKind::kSequenceStart) {
    for_list_ = of_messages && value.kind == EventKind::kMappingStart;
    item(value, 0);  // a single value stands for a list of one
    return;
  }
  for (uint32_t number = 0;; ++number) {
    const Event event = cursor_.next();
    if (event.kind == EventKind::kSequenceEnd || event.kind == EventKind::kFailed) {
      return;
    }
    item(event, number);
  }
}

void MessageBuilder::map_field(Message& out, const FieldDescriptor& field, const Event& value) {
  if (value.kind != EventKind::kMappingStart) {
    wrong_kind(value, "a mapping");
    cursor_.skip(value);
    return;
  }
  const FieldDescriptor& key_field = *field.message_type()->map_key();
  const FieldDescriptor& value_field = *field.message_type()->map_value();
  const bool of_messages = value_field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  const bool null_is_value = of_messages && info(*value_field.message_type()).kind == WellKnown::kValue;
  SeenKeys seen;
  MapWalk walk(*this);
  Event key;
  while (walk.next(key)) {
    const Place place = key.place;
    const Place* before = seen.add(key.value, place);
    if (before != nullptr) {
      if (!walk.merging()) {
        std::string path = index_.current_path();
        append_path_name(path, key.value);
        report(Severity::kError, place, path,
               "duplicate key; it is at line " + std::to_string(before->line) + " already", "", "", "keep one");
      }
      cursor_.skip(cursor_.next());
      continue;
    }
    index_.enter_key(key.value, place);
    const std::unique_ptr<Message> entry(
        out.GetReflection()->GetMessageFactory()->GetPrototype(field.message_type())->New());
    const bool good_key = scalar(*entry, key_field, key, false);
    const Event item = cursor_.next();
    if (item.kind == EventKind::kFailed) {
      // As for a field: no entry.
    } else if (is_null_event(item) && !null_is_value) {
      // As for a field: nothing is said about this key.
    } else if (!good_key) {
      cursor_.skip(item);
    } else {
      Message& added = *out.GetReflection()->AddMessage(&out, &field);
      added.CopyFrom(*entry);
      if (of_messages) {
        message(*added.GetReflection()->MutableMessage(&added, &value_field), item);
      } else {
        scalar(added, value_field, item, false);
      }
    }
    index_.leave();
  }
}

bool MessageBuilder::belongs_above(std::string_view name, const Message& out, std::string& path, std::string& hint) {
  // From the message that ended last, which is the innermost.
  for (size_t i = 0; i < ended_.size(); ++i) {
    const FieldDescriptor* field = find_field(*ended_[i]->message_type(), name);
    if (field == nullptr) continue;
    const Message* inner = &out;
    for (size_t k = ended_.size(); k-- > i;) {
      append_path_name(path, ended_[k]->name());
      inner = &inner->GetReflection()->GetMessage(*inner, ended_[k]);
    }
    append_path_name(path, field->name());
    hint = "it belongs inside of " + ended_[i]->name() + " above";
    return field->is_repeated() || !inner->GetReflection()->HasField(*inner, field);
  }
  return false;
}

void MessageBuilder::unknown_field(const Event& key, const Message* out) {
  if (options_.unknown_fields == OnUnknown::kIgnore || is_left_empty(*open_.back().type)) {
    return;
  }
  const bool whole = open_.size() == 1;  // about the file as such
  if (whole && other_kind_) {
    return;
  }
  const Severity severity = options_.unknown_fields == OnUnknown::kError ? Severity::kError : Severity::kWarning;
  std::string hint = unknown_field_hint(key.value, open_);
  other_kind_ = whole && hint.starts_with("this is ");
  std::string path = index_.current_path();
  if (out != nullptr && hint.empty() && secret_ == 0) {
    std::string meant = path;
    std::string above;
    if (belongs_above(key.value, *out, meant, above)) {
      report(severity, key.place, std::move(meant), "unknown field here", shown(key.value), "", std::move(above));
      return;
    }
  }
  if (secret_ > 0 && !hint.starts_with("did you mean") && !hint.starts_with("it belongs")) {
    // {inline_string:s3cret} and {s3cret} are keys too. What is nearly the name of a field is no secret.
    const std::string known(key.value.substr(0, key.value.find(':')));
    append_path_name(path, open_.back().type->FindFieldByName(known) != nullptr ? known : "...");
    report(severity, key.place, std::move(path), "unknown field", "", "", std::move(hint));
    return;
  }
  append_path_name(path, key.value);
  report(severity, key.place, std::move(path), "unknown field", shown(key.value), "", std::move(hint));
}

bool MessageBuilder::is_null_event(const Event& value) const {
  return value.kind == EventKind::kScalar && value.plain && is_null(value.value);
}

std::string MessageBuilder::found_text(const Event& value) const {
  if (secret_ > 0) {
    return "";
  }
  return value.kind == EventKind::kScalar ? shown(value.value) : kind_of(value);
}

void MessageBuilder::wrong_kind(const Event& value, const std::string& wanted, std::string hint) {
  error(value.place, wanted + " is expected here, not " + kind_of(value), found_text(value), wanted, std::move(hint));
}

void MessageBuilder::error(Place place, std::string what, std::string found, std::string allowed, std::string hint) {
  report(Severity::kError, place, index_.current_path(), std::move(what), std::move(found), std::move(allowed),
         std::move(hint));
}

void MessageBuilder::report(Severity severity, Place place, std::string path, std::string what, std::string found,
                            std::string allowed, std::string hint) {
  if (cursor_.failed()) {
    return;  // what follows from a text that stops in the middle is no news
  }
  Diagnostic out;
  out.file = file_;
  out.line = static_cast<int>(place.line);
  out.column = static_cast<int>(place.column);
  out.path = std::move(path);
  out.severity = severity;
  out.message = hint.empty() ? std::move(what) : what + "; " + hint;
  out.found = std::move(found);
  out.allowed = std::move(allowed);
  out.hint = std::move(hint);
  diagnostics_.add(std::move(out));
}

const Place* MessageBuilder::SeenKeys::add(std::string_view key, Place place) {
  constexpr size_t kFew = 16;
  for (const auto& [name, at] : few_) {
    if (name == key) {
      return &at;
    }
  }
  if (few_.size() < kFew) {
    few_.reserve(kFew);
    few_.emplace_back(key, place);
    return nullptr;
  }
  const auto [at, added] = many_.try_emplace(std::string(key), place);
  return added ? nullptr : &at->second;
}

bool MessageBuilder::MapWalk::next(Event& key) {
  EventCursor& cursor = builder_.cursor_;
  for (;;) {
    key = cursor.next();
    if (key.kind == EventKind::kFailed) {
      return false;
    }
    if (key.kind == EventKind::kMappingEnd) {
      if (sources_.empty()) {
        return false;
      }
      // What a mapping merges itself was counted when it came out of its alias.
      const bool inside_of_a_merge = std::exchange(merging_, true);
      const auto tape = sources_.front();
      sources_.pop_front();
      next_source_ = 0;
      cursor.replay(tape, 1, tape->size(), inside_of_a_merge);
      continue;
    }
    if (key.kind != EventKind::kScalar) {
      // {{ x }} reads as a mapping whose key is one.
      builder_.error(key.place, kind_of(key) + " cannot be a key", "", "",
                     key.kind == EventKind::kMappingStart
                         ? "if this is a template, fill it in before weir reads the file"
                         : "a key is a name");
      cursor.skip(key);
      cursor.skip(cursor.next());
      continue;
    }
    if (key.plain && builder_.yaml_ && key.value == "<<") {
      add_merge(cursor.next());
      continue;
    }
    if (key.ignored || ((drop_type_ || (drop_merged_type_ && merging_)) && key.value == "@type")) {
      cursor.skip(cursor.next());
      continue;
    }
    return true;
  }
}

// The value of `<<`: a mapping, or a list of them of which the earlier one wins.
void MessageBuilder::MapWalk::add_merge(const Event& value) {
  EventCursor& cursor = builder_.cursor_;
  std::deque<std::shared_ptr<const Tape>> found;
  const auto add = [&](const Event& event) {
    if (event.kind != EventKind::kMappingStart) {
      builder_.error(event.place, "<< takes a mapping or a list of mappings, not " + kind_of(event), "", "", "");
      cursor.skip(event);
      return;
    }
    const auto tape = std::make_shared<Tape>();
    cursor.record(event, *tape);
    found.push_back(tape);
  };
  if (value.kind == EventKind::kSequenceStart) {
    for (Event event = cursor.next(); event.kind != EventKind::kSequenceEnd && event.kind != EventKind::kFailed;
         event = cursor.next()) {
      add(event);
    }
  } else {
    add(value);
  }
  // What a merged mapping merges itself comes right behind it.
  sources_.insert(sources_.begin() + static_cast<ptrdiff_t>(next_source_), found.begin(), found.end());
  next_source_ += found.size();
}

}  // namespace weir::config
