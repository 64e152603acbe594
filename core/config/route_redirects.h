// Redirects of routes: those that clients are sent, and those of upstreams that weir follows. [main]
#pragma once

#include <memory>

#include "core/config/field_path.h"
#include "core/route/spec.h"

namespace envoy::config::route::v3 {
class InternalRedirectPolicy;
class RedirectAction;
}  // namespace envoy::config::route::v3

namespace weir::config {

// Both at the place of their message.
route::RedirectSpec redirect_spec(const envoy::config::route::v3::RedirectAction& message, FieldPath& path);
std::unique_ptr<route::InternalRedirectPolicy> internal_redirect_policy(
    const envoy::config::route::v3::InternalRedirectPolicy& message, FieldPath& path);

}  // namespace weir::config
