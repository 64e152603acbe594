// Descriptors of filters that exist only in tests: no configuration message, the Config is made by the test.
#pragma once

#include <string_view>

#include "core/filter/register.h"
#include "core/filter/registry.h"

namespace weir::test {

template <class Config, class F>
filter::HttpFilterDescriptor describe_for_test(std::string_view name) {
  filter::HttpFilterDescriptor descriptor = filter::describe_class<Config, F>();
  descriptor.name = name;
  descriptor.type = name;
  return descriptor;
}

}  // namespace weir::test
