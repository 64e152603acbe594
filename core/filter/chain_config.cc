#include "core/filter/chain_config.h"

#include <algorithm>

#include "core/filter/registry.h"

namespace weir::filter {

Result<std::shared_ptr<const HttpChainConfig>> HttpChainConfig::build(std::vector<HttpFilterEntry> entries) {
  if (entries.empty()) return invalid("http_filters: must not be empty; the last filter is the router");
  if (entries.size() > kMaxFilters) {
    return invalid("http_filters: " + std::to_string(entries.size()) + " filters; at most " +
                   std::to_string(kMaxFilters));
  }
  auto chain = std::make_shared<HttpChainConfig>();
  size_t last = entries.size() - 1;
  for (size_t i = 0; i <= last; ++i) {
    const HttpFilterDescriptor& descriptor = *entries[i].descriptor;
    std::string place = "http_filters[" + std::to_string(i) + "]";
    if (descriptor.terminal && i != last) {
      return invalid(place + ": " + entries[i].name + " is terminal and must be the last filter");
    }
    if (!descriptor.terminal && i == last) {
      return invalid(place + ": " + entries[i].name +
                     " is not terminal; the last filter must be (usually envoy.filters.http.router)");
    }
    uint64_t bit = filter_bit(i);
    uint64_t back = filter_bit(last - i);
    Place at;
    chain->bytes_ = (chain->bytes_ + descriptor.alignment - 1) / descriptor.alignment * descriptor.alignment;
    at.construct = descriptor.construct;
    at.config = entries[i].config.get();
    at.offset = chain->bytes_;
    chain->bytes_ += descriptor.size;
    chain->alignment_ = std::max(chain->alignment_, descriptor.alignment);
    if (descriptor.hooks & kRequestHeaders) chain->request_.headers |= bit;
    if (descriptor.hooks & kRequestData) chain->request_.data |= bit;
    if (descriptor.hooks & kRequestTrailers) chain->request_.trailers |= bit;
    if (descriptor.hooks & kResponseHeaders) chain->response_.headers |= back;
    if (descriptor.hooks & kResponseData) chain->response_.data |= back;
    if (descriptor.hooks & kResponseTrailers) chain->response_.trailers |= back;
    if (descriptor.hooks & kComplete) chain->complete_ |= bit;
    if (descriptor.destroy != nullptr) chain->destroy_ |= bit;
    if (!entries[i].disabled || i == last) chain->enabled_ |= bit;
    if (descriptor.request_body != nullptr) {
      BodyMode mode = descriptor.request_body(entries[i].config.get());
      if (mode.whole) chain->request_.whole_body |= bit;
      at.request_limit = mode.limit;
    }
    if (descriptor.response_body != nullptr) {
      BodyMode mode = descriptor.response_body(entries[i].config.get());
      if (mode.whole) chain->response_.whole_body |= back;
      at.response_limit = mode.limit;
    }
    chain->places_.push_back(at);
    chain->request_offsets_.push_back(at.offset);
  }
  chain->response_offsets_.assign(chain->request_offsets_.rbegin(), chain->request_offsets_.rend());
  chain->entries_ = std::move(entries);
  return std::shared_ptr<const HttpChainConfig>(std::move(chain));
}

}  // namespace weir::filter
