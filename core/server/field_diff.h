// The fields that differ between two versions of a message, as people name them: for `weir diff` and POST /reload.
#pragma once

#include <string>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace weir::server {

struct FieldChange {
  std::string path;    // below the message: "virtual_hosts[0].routes[2].route.cluster"; of the new version if it has it
  std::string before;  // as text, shortened; empty: not set. What admin::redact hides is "[redacted]" here, too.
  std::string after;
};

// Of two messages of one type. Items of lists are told apart by their `name` if they all have one, else what is in
// front of and behind the changed ones stays in step. Looks into every Any whose type is known. At most `limit`
// changes; `more` counts those left out.
std::vector<FieldChange> diff_fields(const google::protobuf::Message& before, const google::protobuf::Message& after,
                                     size_t limit, size_t& more);

}  // namespace weir::server
