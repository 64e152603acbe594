// An authorization service that is asked over gRPC: envoy.service.auth.v3.Authorization.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "core/base/block.h"
#include "core/grpc/service.h"
#include "filters/http/ext_authz/authz_client.h"

namespace weir::filters::ext_authz {

// [immutable]
class GrpcService final : public AuthzService {
 public:
  explicit GrpcService(grpc::Service service) : service_(std::move(service)) {}

  const grpc::Service& service() const { return service_; }
  AuthzClient* make_client(Arena& arena) const override;
  // The bytes of a CheckRequest.
  static Slices write_question(const CheckRequest& request);
  // Of a CheckResponse. Copies what it answers with into the arena.
  static CheckAnswer read_answer(std::string_view bytes, Arena& arena);

 private:
  const grpc::Service service_;
};

}  // namespace weir::filters::ext_authz
