// An authorization service that is asked over HTTP: the request without its body (or with the start of it) at another
// path, and the status is the answer.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/event/slot.h"
#include "core/proxy/call_retries.h"
#include "core/proxy/headless_stream.h"
#include "core/stream/header_value.h"
#include "filters/http/ext_authz/authz_client.h"
#include "filters/http/ext_authz/headers.h"

namespace weir::filters::ext_authz {

// [immutable]
class HttpService final : public AuthzService {
 public:
  struct Spec {
    event::SlotId cluster;
    Duration timeout{};  // of all attempts together
    proxy::CallRetries retries;
    std::string path_prefix;
    NameList allowed_headers;  // of the client's request, where the filter says nothing of them
    std::vector<stream::HeaderValue> headers_to_add;
    // Of the service's response: which go where.
    NameList upstream, upstream_append, client, client_on_success, metadata;
  };
  explicit HttpService(Spec spec) : spec_(std::move(spec)) {}

  const Spec& spec() const { return spec_; }
  AuthzClient* make_client(Arena& arena) const override;
  // The question's head. What it views lives as long as the stream and this.
  void write_head(const CheckRequest& request, http::HeaderMap& head) const;
  // Copies what it answers with into the arena.
  CheckAnswer read_response(const http::HeaderMap& headers, const Slices& body, Arena& arena) const;

 private:
  const Spec spec_;
};

}  // namespace weir::filters::ext_authz
