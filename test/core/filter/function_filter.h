// A filter whose hooks are the functions of a test; without one, what arrives passes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/filter/stream.h"
#include "test/support/descriptor.h"

namespace weir::test {

struct Functions {
  using Headers = std::function<filter::Action(filter::Stream&, http::HeaderMap&, bool)>;
  using Data = std::function<filter::Action(filter::Stream&, Slices&, bool)>;
  using Trailers = std::function<filter::Action(filter::Stream&, http::HeaderMap&)>;
  Headers request_headers;
  Data request_data;
  Trailers request_trailers;
  Headers response_headers;
  Data response_data;
  Trailers response_trailers;
};

class FunctionFilter final : public filter::HttpFilter {
 public:
  explicit FunctionFilter(const Functions& functions) : functions_(functions) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override {
    return call(functions_.request_headers, stream, headers, end);
  }
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override {
    return call(functions_.request_data, stream, data, end);
  }
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override {
    return call(functions_.request_trailers, stream, trailers);
  }
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override {
    return call(functions_.response_headers, stream, headers, end);
  }
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override {
    return call(functions_.response_data, stream, data, end);
  }
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override {
    return call(functions_.response_trailers, stream, trailers);
  }

 private:
  template <class Function, class... Arguments>
  static filter::Action call(const Function& function, Arguments&&... arguments) {
    return function ? function(std::forward<Arguments>(arguments)...) : filter::Action::kContinue;
  }
  const Functions& functions_;
};

inline filter::HttpFilterEntry functions_entry(std::shared_ptr<const Functions> functions) {
  static const filter::HttpFilterDescriptor descriptor =
      describe_for_test<Functions, FunctionFilter>("weir.test.functions");
  return {.descriptor = &descriptor, .config = std::move(functions), .name = "functions"};
}

}  // namespace weir::test
