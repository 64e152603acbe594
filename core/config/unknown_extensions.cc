#include "core/config/unknown_extensions.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>

#include <algorithm>
#include <vector>

#include "core/config/suggest.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/type/v3/typed_struct.pb.h"

namespace weir::config {
namespace {

// Sought in lower case and without separators, so that rate_limit, ratelimit and RateLimit are one. A word too many
// costs an error that says why; a word too few lets requests pass unchecked.
constexpr std::string_view kAuthority[] = {
    // Who: authn, authz, basic_auth, ext_authz, jwt_authn, oauth2; and who it is that asks.
    "auth", "rbac", "jwt", "oidc", "saml", "apikey", "accesscontrol", "permission", "proxyprotocol",
    // What and how much: local_ratelimit, connection_limit, rate_limit_quota, admission_control.
    "csrf", "waf", "firewall", "security", "allowlist", "denylist", "limit", "quota", "admission",
    // Code or rules that weir cannot look into.
    "composite", "dynamicmodule", "extensionwithmatcher", "externalprocess", "extproc", "golang", "lua", "wasm"};

std::string_view type_name(std::string_view type_url) { return type_url.substr(type_url.rfind('/') + 1); }

template <class TypedStruct>
bool read_typed_struct(const google::protobuf::Any& any, std::string& type) {
  TypedStruct inner;
  if (!any.UnpackTo(&inner)) return false;
  type = type_name(inner.type_url());
  return true;
}

std::vector<std::string> all_types() {
  std::vector<std::string> names;
  google::protobuf::DescriptorPool::internal_generated_database()->FindAllMessageNames(&names);
  return names;
}

}  // namespace

std::string extension_type(const google::protobuf::Any& any) {
  std::string type(type_name(any.type_url()));
  std::string inner;
  if (read_typed_struct<xds::type::v3::TypedStruct>(any, inner) ||
      read_typed_struct<udpa::type::v1::TypedStruct>(any, inner)) {
    if (!inner.empty()) return inner;
  }
  return type;
}

std::string suggest_type(std::string_view type) {
  // A type of the same simple name (another version or package) is meant more often than one that is spelled alike.
  constexpr size_t kTypingErrors = 4;
  constexpr size_t kSameName = 60;
  static const std::vector<std::string> kTypes = all_types();
  const auto simple = [](std::string_view name) { return name.substr(name.rfind('.') + 1); };
  std::string best;
  size_t best_distance = 200;
  for (const std::string& name : kTypes) {
    const size_t limit = simple(name) == simple(type) ? kSameName : kTypingErrors;
    const size_t distance = edit_distance(name, type, std::min(best_distance - 1, limit));
    if (distance <= limit && distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string_view word_of_authority(std::string_view name) {
  std::string folded;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) folded += c;
  }
  for (std::string_view word : kAuthority) {
    if (folded.find(word) != std::string::npos) return word;
  }
  return {};
}

}  // namespace weir::config
