// What the access loggers that write lines have in common: the format messages, compiled, and the logger that puts
// finished lines into a log file.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "core/filter/factory.h"
#include "core/stream/access_logger.h"
#include "core/stream/formatter.h"
#include "core/stream/log_writer.h"

namespace google::protobuf {
class Struct;
}
namespace envoy::config::core::v3 {
class SubstitutionFormatString;
}

namespace weir::extensions::access_loggers {

using stream::LineFormat;

// These report what is wrong to the scope, whose path is that of the message (of the field, for a text), and have no
// value then. [main]
std::optional<LineFormat> make_format(const envoy::config::core::v3::SubstitutionFormatString& proto,
                                      filter::FactoryScope scope);
// Members are printed in the order of their names: the message keeps no other.
std::optional<LineFormat> make_json_format(const google::protobuf::Struct& proto, bool omit_empty,
                                           filter::FactoryScope scope);
std::optional<LineFormat> make_text_format(std::string_view text, bool omit_empty, filter::FactoryScope scope);

// The default access log line.
std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file);
std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file, LineFormat format);

}  // namespace weir::extensions::access_loggers
