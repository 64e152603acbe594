// What weir makes of each field of the API: implemented, accepted with a warning, or rejected. The table is data
// (api/proto/**/*.fields); here is the walk that holds a message against it. [main]
#pragma once

#include <string>
#include <unordered_set>

#include "core/filter/factory.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace weir::config {

// Whether the table has the message: those that nothing reads it does not.
bool has_field_table(const google::protobuf::Descriptor& message);

// Of how many fields of a message that the table has how many are implemented.
struct FieldCounts {
  int implemented = 0;
  int all = 0;
};
FieldCounts count_fields(const google::protobuf::Descriptor& message);

// Goes through `message`, which is at `path`, and all messages in it, and reports every field and enum value that is
// set and not implemented. A field that has its default value cannot be told from one that is not set, and does no
// harm. An Any is not looked into: whoever unpacks it walks what is inside. Says nothing about a message that the table
// does not have, and nothing about those in `known`, which went through it before or are known to change nothing.
using KnownMessages = std::unordered_set<const google::protobuf::Message*>;
void check_fields(const google::protobuf::Message& message, const std::string& path, filter::ConfigReport& report,
                  const KnownMessages& known = {});

}  // namespace weir::config
