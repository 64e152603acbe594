// From envoy.config.core.v3.SubstitutionFormatString, and what holds one, to the formats of core/stream. [main]
#pragma once

#include <optional>

#include "core/config/field_report.h"
#include "core/stream/added_tlv.h"
#include "core/stream/formatter.h"

namespace google::protobuf {
class Struct;
}
namespace envoy::config::core::v3 {
class SubstitutionFormatString;
class TlvEntry;
}  // namespace envoy::config::core::v3

namespace weir::config {

// No value: faults were reported. `options`: what is not in the message.
std::optional<stream::LineFormat> translate(const envoy::config::core::v3::SubstitutionFormatString& message,
                                            stream::Format::Options options, const FieldReport& at);
// Members are printed in the order of their names: the message keeps no other.
std::optional<stream::LineFormat> translate_json_format(const google::protobuf::Struct& message,
                                                        const stream::Format::Options& options, const FieldReport& at);
std::optional<stream::AddedTlv> translate(const envoy::config::core::v3::TlvEntry& message, const FieldReport& at);

}  // namespace weir::config
