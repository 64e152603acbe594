// From matcher trees (xds.type.matcher.v3.Matcher, envoy.config.common.matcher.v3.Matcher) to core/match. [main]
#pragma once

#include <memory>

#include "core/config/field_report.h"
#include "core/filter/config_translator.h"
#include "core/match/matcher_tree.h"

namespace weir::config {

// `message`: one of the two. nullptr: faults were reported.
std::unique_ptr<const match::Tree> translate_matcher(const google::protobuf::Message& message,
                                                     filter::MatcherActions& actions,
                                                     const filter::MatcherOptions& options, const FieldReport& at);

}  // namespace weir::config
