// What the filters named set_filter_state put into filter state: texts made of a connection or a request.
#pragma once

#include <string>
#include <vector>

#include "core/filter/factory.h"
#include "core/stats/handles.h"
#include "core/stream/filter_state.h"
#include "core/stream/formatter.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}
namespace envoy::extensions::filters::common::set_filter_state::v3 {
class FilterStateValue;
}

namespace weir::filters::filter_state {

// What an object of a published name, or of a published factory, is.
enum class Form : uint8_t { kText, kNumber };

struct Value {
  stream::FilterStateName name;
  Form form = Form::kText;
  stream::LineFormat format;
  bool read_only = false;
  bool skip_if_empty = false;
};

using Values = std::vector<Value>;
using Protos =
    google::protobuf::RepeatedPtrField<envoy::extensions::filters::common::set_filter_state::v3::FilterStateValue>;

// [main] Faults go to the scope's report.
Values read_values(const Protos& protos, filter::FactoryScope& scope, std::string_view field);

// `not_set` counts what is no number where one is wanted, or whose name is taken.
void set_values(const Values& values, const stream::LogSubject& subject, stream::FilterState& state,
                stream::LifeSpan life_span, const stats::Counter& not_set);

}  // namespace weir::filters::filter_state
