#include "filters/network/http_connection_manager/header_options.h"

#include "envoy/config/core/v3/base.pb.h"

namespace weir::filters::http_connection_manager {
namespace {

using HeaderOption = envoy::config::core::v3::HeaderValueOption;

route::AppendAction action_of(const HeaderOption& option, filter::FactoryScope& scope) {
  using enum route::AppendAction;
  if (option.has_append()) {  // deprecated
    if (option.append_action() != HeaderOption::APPEND_IF_EXISTS_OR_ADD)
      scope.error("append", "append and append_action exclude each other; append_action is the newer one");
    return option.append().value() ? kAppendIfExistsOrAdd : kOverwriteIfExistsOrAdd;
  }
  switch (option.append_action()) {
    case HeaderOption::ADD_IF_ABSENT:
      return kAddIfAbsent;
    case HeaderOption::OVERWRITE_IF_EXISTS_OR_ADD:
      return kOverwriteIfExistsOrAdd;
    case HeaderOption::OVERWRITE_IF_EXISTS:
      return kOverwriteIfExists;
    default:
      return kAppendIfExistsOrAdd;
  }
}

}  // namespace

route::HeaderValueSpec read_header_option(const HeaderOption& proto, filter::FactoryScope& scope) {
  route::HeaderValueSpec spec;
  spec.name = proto.header().key();
  spec.value = proto.header().value().empty() ? proto.header().raw_value() : proto.header().value();
  spec.action = action_of(proto, scope);
  spec.keep_empty_value = proto.keep_empty_value();
  return spec;
}

}  // namespace weir::filters::http_connection_manager
