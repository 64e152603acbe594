// Takes secrets out of configuration before it is shown: private keys, passwords, tokens, credentials in headers.
// Fields are told by their names, and rather too many than too few.
#pragma once

namespace google::protobuf {
class Message;
}

namespace weir::admin {

// In place. Messages inside an Any are redacted too; one of an unknown type is replaced by a note, for nobody can tell
// what is in it.
void redact(google::protobuf::Message& message);

}  // namespace weir::admin
