// Fills protobuf messages from events, by reflection and without a tree in between. One builder reads one file.
// The private half of proto_loader.h.
#pragma once
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/config/event_cursor.h"
#include "core/config/field_hints.h"
#include "core/config/proto_loader.h"

namespace weir::config {

// Messages that JSON does not write field by field.
enum class WellKnown {
  kNone,
  kAny,
  kDuration,
  kTimestamp,
  kWrapper,
  kStruct,
  kValue,
  kListValue,
  kFieldMask,
  kTypedStruct
};

struct KnownField {
  const google::protobuf::FieldDescriptor* field;
  bool secret;  // what is in it is not repeated in messages
};

// What the builder has to know of a message type, found out once a file.
struct MessageInfo {
  WellKnown kind = WellKnown::kNone;
  bool holds_extension = false;                             // see default_types.h
  std::unordered_map<std::string_view, KnownField> fields;  // by snake_case and lowerCamelCase name
};

class MessageBuilder {
 public:
  MessageBuilder(EventCursor& cursor, std::string_view file, PositionIndex& index, Diagnostics& diagnostics,
                 const LoadOptions& options, bool yaml);

  // The whole file. Errors go to the diagnostics.
  void build(google::protobuf::Message& message);

 private:
  using Message = google::protobuf::Message;
  using Descriptor = google::protobuf::Descriptor;
  using FieldDescriptor = google::protobuf::FieldDescriptor;

  // Walks the keys of a mapping whose start was read; after the file's own keys those that `<<` brings.
  class MapWalk {
   public:
    explicit MapWalk(MessageBuilder& builder) : builder_(builder) {}
    // Leaves @type out: the caller has read it.
    void drop_type() { drop_type_ = true; }
    // The same of what is merged, where the mapping has one of its own.
    void drop_merged_type() { drop_merged_type_ = true; }
    bool next(Event& key);                     // the value comes next from the cursor
    bool merging() const { return merging_; }  // the key comes from `<<`: it gives way to one that is there

   private:
    void add_merge(const Event& value);

    MessageBuilder& builder_;
    std::deque<std::shared_ptr<const Tape>> sources_;
    size_t next_source_ = 0;  // where in sources_ what the mapping being read merges belongs
    bool merging_ = false;
    bool drop_type_ = false;
    bool drop_merged_type_ = false;
  };
  // The keys of a mapping that were seen, to find those that come twice.
  class SeenKeys;

  // A message, a field of one, or an item, from the event that its value begins with.
  void message(Message& out, const Event& first);
  void fields(Message& out, MapWalk& walk);
  void field(Message& out, const FieldDescriptor& field, const Event& value);
  // The same for a field beside another one of its oneof.
  void excluded(Message& out, const FieldDescriptor& field, const Event& value);
  void repeated(Message& out, const FieldDescriptor& field, const Event& value);
  void map_field(Message& out, const FieldDescriptor& field, const Event& value);
  // A single value of a scalar or enum field, set or added. False after an error.
  bool scalar(Message& out, const FieldDescriptor& field, const Event& value, bool add);
  bool enumerator(const FieldDescriptor& field, const Event& value, int& number);
  bool integer(const FieldDescriptor& field, const Event& value, uint64_t min_magnitude, uint64_t max, int64_t& out);
  // `out`: what was read of the message so far; null: that is not known.
  void unknown_field(const Event& key, const Message* out);
  // Whether it is a field of a message that ended just above, indented too little; there it is missing. `path`: of
  // `out`, and then of the field there.
  bool belongs_above(std::string_view name, const Message& out, std::string& path, std::string& hint);
  // The configuration of an extension of which the file only says the name.
  void default_extension(Message& out);

  // Messages with a form of their own (well_known.cc).
  bool well_known(WellKnown kind, Message& out, const Event& first);  // false: it is written field by field after all
  void duration(Message& out, const Event& value);
  void timestamp(Message& out, const Event& value);
  void field_mask(Message& out, const Event& value);
  void struct_value(Message& out, const Event& first);
  void struct_fields(Message& out);
  void list_value(Message& out, const Event& first);

  // Any (any_fields.cc).
  void any(Message& out, const Event& first);
  void any_body(Message& any, const std::string& type_url, Place type_place, MapWalk& walk);
  void typed_struct_body(Message& any, const std::string& type_url, const Descriptor& type, MapWalk& walk);
  void well_known_body(Message& inner, MapWalk& walk);
  // All keys of a mapping on a tape, merge keys applied.
  std::shared_ptr<Tape> flatten(MapWalk& walk, const Event* first_key);
  void drain(MapWalk& walk);
  // Where an unknown type stands, for whoever reports it later, knowing whether it may be left out.
  void place_type(Place place);
  void unknown_type(std::string_view type_name, Place place);

  const MessageInfo& info(const Descriptor& type);
  void wrong_kind(const Event& value, const std::string& wanted, std::string hint = "");
  void report(Severity severity, Place place, std::string path, std::string what, std::string found = "",
              std::string allowed = "", std::string hint = "");
  // An error at what was entered last in the index.
  void error(Place place, std::string what, std::string found = "", std::string allowed = "", std::string hint = "");
  std::string found_text(const Event& value) const;
  bool is_null_event(const Event& value) const;
  bool too_deep(const Event& first);

  EventCursor& cursor_;
  std::string file_;
  PositionIndex& index_;
  Diagnostics& diagnostics_;
  const LoadOptions& options_;
  bool yaml_;
  std::vector<OpenMessage> open_;
  bool for_list_ = false;    // of the message that is opened next
  bool other_kind_ = false;  // the file is no configuration, which has been said
  // Fields whose messages have ended behind the last other field, the innermost first.
  std::vector<const FieldDescriptor*> ended_;
  size_t depth_ = 0;
  int secret_ = 0;  // above 0 inside of what must not be shown
  bool depth_reported_ = false;
  std::unordered_map<const Descriptor*, std::unique_ptr<MessageInfo>> infos_;
};

class MessageBuilder::SeenKeys {
 public:
  // The place where the key was before, nullptr if it is new.
  const Place* add(std::string_view key, Place place);

 private:
  std::vector<std::pair<std::string, Place>> few_;
  std::unordered_map<std::string, Place> many_;
};

// In front of a type's name in an Any.
inline constexpr std::string_view kTypePrefix = "type.googleapis.com/";

// What an event is, for people: a list, a mapping, a text, a number.
std::string kind_of(const Event& event);

}  // namespace weir::config
