// An authorization service that is asked over gRPC: envoy.service.auth.v3.Authorization.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/block.h"
#include "core/grpc/service.h"
#include "filters/http/ext_authz/authz_client.h"
#include "filters/http/ext_authz/headers.h"

namespace weir::filters::ext_authz {

// [immutable]
class GrpcService final : public AuthzService {
 public:
  struct Spec {
    grpc::Service service;
    NameList allowed_headers;  // empty: all
    NameList disallowed_headers;
    // Namespaces that are told of.
    std::vector<std::string> metadata;
    std::vector<std::string> typed_metadata;
    std::vector<std::string> route_metadata;
    bool peer_certificate = false;
    bool tls_session = false;
    bool raw_headers = false;  // each header as it is, instead of a text for each name
  };
  explicit GrpcService(Spec spec) : spec_(std::move(spec)) {}

  const Spec& spec() const { return spec_; }
  AuthzClient* make_client(Arena& arena) const override;
  // The bytes of a CheckRequest.
  Slices write_question(const CheckRequest& request) const;
  // Of a CheckResponse. Copies what it answers with into the arena.
  static CheckAnswer read_answer(std::string_view bytes, Arena& arena);

 private:
  const Spec spec_;
};

}  // namespace weir::filters::ext_authz
