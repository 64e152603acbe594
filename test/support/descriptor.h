// Descriptors of filters that exist only in tests: no configuration message, the Config is made by the test.
#pragma once

#include <string_view>

#include "core/filter/register.h"
#include "core/filter/registry.h"

namespace weir::test {

template <class Config, class F>
filter::HttpFilterDescriptor describe_for_test(std::string_view name) {
  filter::HttpFilterDescriptor descriptor;
  descriptor.name = name;
  descriptor.type = name;
  descriptor.hooks = filter::overridden_hooks<F>();
  descriptor.size = sizeof(F);
  descriptor.alignment = alignof(F);
  descriptor.construct = [](void* memory, const void* config) -> filter::HttpFilter* {
    return new (memory) F(*static_cast<const Config*>(config));
  };
  if constexpr (filter::internal::HasRequestBody<F, Config>) {
    descriptor.request_body = [](const void* config) { return F::request_body(*static_cast<const Config*>(config)); };
  }
  if constexpr (filter::internal::HasResponseBody<F, Config>) {
    descriptor.response_body = [](const void* config) { return F::response_body(*static_cast<const Config*>(config)); };
  }
  descriptor.terminal = filter::internal::IsTerminal<F>;
  return descriptor;
}

}  // namespace weir::test
