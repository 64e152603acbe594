// The part of MessageBuilder for google.protobuf.Any: the type decides how the rest of the mapping is read.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

#include "core/config/message_builder.h"
#include "core/config/unknown_extensions.h"

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::Message;

std::string_view type_name_of(std::string_view type_url) { return type_url.substr(type_url.rfind('/') + 1); }

const Descriptor* find_type(std::string_view type_url) {
  return DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type_name_of(type_url)));
}

std::unique_ptr<Message> new_message(const Descriptor& type) {
  return std::unique_ptr<Message>(google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type)->New());
}

// The bytes are the same for the same content, map order included: they are hashed to see what changed.
void pack(Message& any, std::string_view type_url, const Message& inner) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    inner.SerializePartialToCodedStream(&coded);
  }
  const Descriptor& type = *any.GetDescriptor();
  std::string url(type_url.find('/') == std::string_view::npos ? kTypePrefix : "");
  any.GetReflection()->SetString(&any, type.FindFieldByNumber(1), url.append(type_url));
  any.GetReflection()->SetString(&any, type.FindFieldByNumber(2), std::move(bytes));
}

// One past the node that begins at `begin`.
size_t node_end(const Tape& tape, size_t begin) {
  int depth = 0;
  for (size_t i = begin; i < tape.size(); ++i) {
    const EventKind kind = tape.at(i).kind;
    depth += kind == EventKind::kMappingStart || kind == EventKind::kSequenceStart ? 1 : 0;
    depth -= kind == EventKind::kMappingEnd || kind == EventKind::kSequenceEnd ? 1 : 0;
    if (depth == 0) {
      return i + 1;
    }
  }
  return tape.size();
}

// Where the value of a key begins on a tape of keys and values; 0 if the key is not there.
size_t value_of(const Tape& tape, std::string_view key) {
  for (size_t i = 0; i + 1 < tape.size(); i = node_end(tape, i + 1)) {
    if (tape.at(i).value == key) {
      return i + 1;
    }
  }
  return 0;
}

}  // namespace

std::shared_ptr<Tape> MessageBuilder::flatten(MapWalk& walk, const Event* first_key) {
  auto tape = std::make_shared<Tape>();
  SeenKeys seen;
  Event key;
  bool have_key = first_key != nullptr;
  if (have_key) {
    key = *first_key;
  }
  for (; have_key || walk.next(key); have_key = false) {
    const Place* before = seen.add(key.value, key.place);
    if (before == nullptr) {
      tape->append(key);
      cursor_.record(cursor_.next(), *tape);
      continue;
    }
    if (!walk.merging()) {
      std::string path = index_.current_path();
      append_path_name(path, key.value);
      report(Severity::kError, key.place, path,
             "duplicate key; it is at line " + std::to_string(before->line) + " already", "", "", "keep one");
    }
    cursor_.skip(cursor_.next());
  }
  Event end;
  end.kind = EventKind::kMappingEnd;
  tape->append(end);
  return tape;
}

void MessageBuilder::drain(MapWalk& walk) {
  Event key;
  while (walk.next(key)) {
    cursor_.skip(cursor_.next());
  }
}

void MessageBuilder::any(Message& out, const Event& first) {
  if (first.kind != EventKind::kMappingStart) {
    wrong_kind(first, "a mapping with \"@type\"");
    cursor_.skip(first);
    return;
  }
  MapWalk walk(*this);
  Event key;
  if (!walk.next(key)) {
    return;  // {} is an Any that holds nothing
  }
  if (key.value == "@type" && !walk.merging()) {
    const Event type = cursor_.next();
    if (type.kind != EventKind::kScalar) {
      wrong_kind(type, "the name of a type");
      cursor_.skip(type);
      drain(walk);
      return;
    }
    walk.drop_merged_type();
    any_body(out, std::string(type.value), type.place, walk);
    return;
  }
  // The type comes later: keep everything until it does.
  const std::shared_ptr<Tape> tape = flatten(walk, &key);
  const size_t at = value_of(*tape, "@type");
  if (at == 0) {
    error(first.place, "its type is missing", "", "", "add \"@type\": type.googleapis.com/...");
    return;
  }
  const Event type = tape->at(at);
  if (type.kind != EventKind::kScalar) {
    wrong_kind(type, "the name of a type");
    return;
  }
  cursor_.replay(tape, 0, tape->size());
  MapWalk again(*this);
  again.drop_type();
  any_body(out, std::string(type.value), type.place, again);
}

void MessageBuilder::any_body(Message& any, const std::string& type_url, Place type_place, MapWalk& walk) {
  const Descriptor* type = find_type(type_url);
  if (type == nullptr) {
    unknown_type(type_name_of(type_url), type_place);
    any.GetReflection()->SetString(&any, any.GetDescriptor()->FindFieldByNumber(1), type_url);
    drain(walk);
    return;
  }
  if (type_url.find('/') == std::string::npos) {
    report(Severity::kWarning, type_place, index_.current_path(), "the type has no prefix", shown(type_url), "",
           "write type.googleapis.com/" + type_url);
  }
  const WellKnown kind = info(*type).kind;
  if (kind == WellKnown::kTypedStruct) {
    typed_struct_body(any, type_url, *type, walk);
    return;
  }
  const std::unique_ptr<Message> inner = new_message(*type);
  if (kind == WellKnown::kNone) {
    fields(*inner, walk);
  } else {
    well_known_body(*inner, walk);
  }
  if (kind == WellKnown::kAny) {
    any.GetReflection()->Swap(&any, inner.get());  // one that holds another says no more than that one
  } else {
    pack(any, type_url, *inner);
  }
}

// {"@type": .../google.protobuf.StringValue, value: ...}
void MessageBuilder::well_known_body(Message& inner, MapWalk& walk) {
  bool seen = false;
  Event key;
  while (walk.next(key)) {
    if (key.value != "value" || seen) {
      std::string path = index_.current_path();
      append_path_name(path, key.value);
      report(Severity::kError, key.place, path, seen && key.value == "value" ? "duplicate key" : "unknown field",
             shown(key.value), "value", "this type is written as {\"@type\": ..., value: ...}");
      cursor_.skip(cursor_.next());
      continue;
    }
    seen = true;
    const Place place = key.place;
    const Event value = cursor_.next();
    const bool is_any = info(*inner.GetDescriptor()).kind == WellKnown::kAny;  // paths do not mention it: any_body()
    if (!is_any) index_.enter_field("value", value.kind == EventKind::kScalar ? value.place : place);
    message(inner, value);
    if (!is_any) index_.leave();
  }
}

// A TypedStruct becomes the message that it describes if that is known here; else it stays what it is, for a plugin
// that reads structs. Paths do not mention `value`, because what is loaded has none.
void MessageBuilder::typed_struct_body(Message& any, const std::string& type_url, const Descriptor& type,
                                       MapWalk& walk) {
  const std::shared_ptr<Tape> tape = flatten(walk, nullptr);
  const size_t snake_at = value_of(*tape, "type_url");
  const size_t camel_at = value_of(*tape, "typeUrl");
  const size_t url_at = snake_at != 0 ? snake_at : camel_at;
  const std::string inner_url(url_at == 0 ? "" : tape->at(url_at).value);
  const Descriptor* inner_type = inner_url.empty() ? nullptr : find_type(inner_url);
  if (inner_type == nullptr) {
    if (!inner_url.empty()) place_type(tape->at(url_at).place);
    const std::unique_ptr<Message> inner = new_message(type);
    cursor_.replay(tape, 0, tape->size());
    MapWalk again(*this);
    again.drop_type();
    fields(*inner, again);
    pack(any, type_url, *inner);
    return;
  }
  if (snake_at != 0 && camel_at != 0) {
    const Place first = tape->at(std::min(snake_at, camel_at) - 1).place;
    std::string path = index_.current_path();
    append_path_name(path, "type_url");
    report(Severity::kError, tape->at(std::max(snake_at, camel_at) - 1).place, std::move(path),
           "duplicate key; it is at line " + std::to_string(first.line) + " already", "", "", "keep one");
  }
  open_.push_back({&type, nullptr, false});
  for (size_t i = 0; i + 1 < tape->size(); i = node_end(*tape, i + 1)) {
    const Event key = tape->at(i);
    if (key.value != "type_url" && key.value != "typeUrl" && key.value != "value" && key.value != "@type") {
      unknown_field(key, nullptr);
    }
  }
  open_.pop_back();
  const size_t value_at = value_of(*tape, "value");
  const bool has_value = value_at != 0 && !is_null_event(tape->at(value_at));
  if (has_value) cursor_.replay(tape, value_at, node_end(*tape, value_at));
  if (has_value && info(*inner_type).kind == WellKnown::kTypedStruct &&
      tape->at(value_at).kind == EventKind::kMappingStart) {
    cursor_.next();
    MapWalk walk_inside(*this);
    typed_struct_body(any, inner_url, *inner_type, walk_inside);
    return;
  }
  const std::unique_ptr<Message> inner = new_message(*inner_type);
  if (has_value) {
    const Event first = cursor_.next();
    message(*inner, first);
  }
  pack(any, inner_url, *inner);
}

void MessageBuilder::place_type(Place place) {
  index_.enter_field("@type", place);
  index_.leave();
}

void MessageBuilder::unknown_type(std::string_view type_name, Place place) {
  place_type(place);
  if (options_.unknown_types == OnUnknown::kIgnore) {
    return;
  }
  weir::config::UnknownType said = weir::config::unknown_type(type_name);
  const Severity severity = options_.unknown_types == OnUnknown::kError ? Severity::kError : Severity::kWarning;
  report(severity, place, index_.current_path(), std::move(said.text), shown(type_name), "", std::move(said.hint));
}

}  // namespace weir::config
