#include "core/config/unknown_extensions.h"

#include <absl/strings/ascii.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/config/default_types.h"
#include "core/config/published_types.h"
#include "core/config/suggest.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/type/v3/typed_struct.pb.h"

namespace weir::config {
namespace {

// Sought in lower case and without separators, so that rate_limit, ratelimit and RateLimit are one. A word too many
// costs an error that says why; a word too few lets requests pass unchecked.
constexpr std::string_view kAuthority[] = {
    // Who: authn, authz, basic_auth, ext_authz, jwt_authn, oauth2; and who it is that asks.
    "auth", "rbac", "jwt", "jwks", "oidc", "saml", "hmac", "apikey", "accesscontrol", "permission", "proxyprotocol",
    "login", "verif", "enforce", "policy", "policies", "cilium", "token", "introspect", "ldap", "kerberos", "spnego",
    "sanitiz", "sanitis", "signature", "guard", "curiefense",
    // What and how much: local_ratelimit, connection_limit, rate_limit_quota, admission_control.
    "csrf", "coraza", "modsecurity", "firewall", "security", "captcha", "allowlist", "denylist", "blocklist",
    "whitelist", "blacklist", "limit", "throttl", "quota", "admission", "deny", "denied", "restrict", "ipblock",
    "geoblock", "geofenc", "antibot", "botcontrol", "botdefen", "botdetect", "botmanage", "botmitigat", "botprotect",
    // Code or rules that weir cannot look into.
    "composite", "dynamicmodule", "extensionwithmatcher", "externalprocess", "extproc", "golang", "wasm"};
// Too short to be sought inside of words (evaluate, oracle, lasso): these are words of the name, or begin one.
constexpr std::string_view kShortWords[] = {"acl", "block", "lua", "opa", "sso", "waf"};
// What holds a word of the lists and means something else; taken out before they are sought.
constexpr std::string_view kHarmless[] = {
    "authority",    "authorities", "unlimited",    "delimit",       "waffle",         "opaque",        "opacity",
    "unrestricted", "tokeniz",     "blocksize",    "blocking",      "blockcache",     "blockchain",    "vanguard",
    "retrypolic",   "cachepolic",  "cachingpolic", "redirectpolic", "balancingpolic", "earlydatapolic"};

// Lower case, nothing between words. `begins` gets, for each character of the result, whether a word begins there.
std::string folded_words(std::string_view name, std::vector<bool>& begins) {
  std::string out;
  bool fresh = true;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!absl::ascii_isalnum(c)) {
      fresh = true;
      continue;
    }
    // RateLimit, WAFFilter.
    const bool hump = absl::ascii_isupper(c) && i > 0 &&
                      (!absl::ascii_isupper(name[i - 1]) ||
                       (i + 1 < name.size() && absl::ascii_isalpha(name[i + 1]) && !absl::ascii_isupper(name[i + 1])));
    begins.push_back(fresh || hump);
    out += absl::ascii_tolower(c);
    fresh = false;
  }
  return out;
}

std::string_view type_name(std::string_view type_url) { return type_url.substr(type_url.rfind('/') + 1); }

template <class TypedStruct>
bool read_typed_struct(const google::protobuf::Any& any, std::string& type) {
  TypedStruct inner;
  if (!any.UnpackTo(&inner)) return false;
  type = type_name(inner.type_url());
  return true;
}

// Of a name of few letters one may be wrong, of a long one a third.
bool may_be_meant(std::string_view wanted, std::string_view part) {
  const size_t limit = std::max<size_t>(1, std::min<size_t>(4, part.size() / 3));
  return edit_distance(wanted, part, limit) <= limit;
}

// Spelled alike part by part: another type of the same folder is not what was meant.
bool alike(std::string_view wanted, std::string_view type) {
  while (!wanted.empty() && !type.empty()) {
    const std::string_view one = wanted.substr(0, wanted.find('.'));
    const std::string_view other = type.substr(0, type.find('.'));
    if (!may_be_meant(one, other)) return false;
    wanted.remove_prefix(std::min(wanted.size(), one.size() + 1));
    type.remove_prefix(std::min(type.size(), other.size() + 1));
  }
  return wanted.empty() && type.empty();
}

std::string_view simple_name(std::string_view type) { return type.substr(type.rfind('.') + 1); }

// Such a name says nothing of what it configures; that of the package does.
bool says_nothing(std::string_view simple) {
  constexpr std::string_view kNames[] = {"Config",   "Filter",         "FilterConfig", "Options",
                                         "PerRoute", "PerRouteConfig", "PluginConfig", "Settings"};
  return std::find(std::begin(kNames), std::end(kNames), simple) != std::end(kNames);
}

// The last part of the package's name, without a version: tap of envoy.extensions.filters.http.tap.v3.
std::string_view word_of_package(std::string_view type) {
  const auto cut = [&] { type = type.substr(0, type.find('.') == type.npos ? 0 : type.rfind('.')); };
  cut();
  const std::string_view last = simple_name(type);
  if (last.size() > 1 && last[0] == 'v' && absl::ascii_isdigit(last[1])) cut();
  return simple_name(type);
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
  const std::string_view own_name = simple_name(type), own_word = word_of_package(type);
  const bool package_counts = says_nothing(own_name);
  std::string best;
  size_t best_distance = 200;
  const auto offer = [&](const std::string& name) {
    const bool same =
        simple_name(name) == own_name && (!package_counts || may_be_meant(own_word, word_of_package(name)));
    const size_t limit = same ? kSameName : kTypingErrors;
    const size_t distance = edit_distance(name, type, std::min(best_distance - 1, limit));
    if (distance <= limit && distance < best_distance && (same || alike(type, name))) {
      best = name;
      best_distance = distance;
    }
  };
  for (const std::string& name : all_message_types()) offer(name);
  return best;
}

UnknownType unknown_type(std::string_view type) {
  const std::string name(type.substr(0, 200));
  if (is_published_type(type)) {
    return {name + " is a type of the published API that weir does not have",
            "weir --list-extensions shows what it has"};
  }
  if (const std::string known = type_of_extension(type); !known.empty()) {
    return {"unknown type " + name, "this is the name of an extension; its type is " + known};
  }
  const std::string meant = suggest_type(type);
  return {"unknown type " + name, meant.empty() ? "" : "did you mean " + meant + "?"};
}

std::string unreadable(const google::protobuf::Any& any, const std::string& type) {
  // Deeper than anything that a file may hold (LoadOptions::max_depth).
  constexpr int kDeepest = 2000;
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor != nullptr) {
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(any.value().data()),
                                                  static_cast<int>(any.value().size()));
    stream.SetRecursionLimit(kDeepest);
    if (message->ParsePartialFromCodedStream(&stream)) {
      return "is too deep: weir reads " +
             std::to_string(google::protobuf::io::CodedInputStream::GetDefaultRecursionLimit()) +
             " messages inside each other, and each level of a Struct is three of them";
    }
  }
  return "the bytes are not a " + type;
}

std::string_view word_of_authority(std::string_view name) {
  std::vector<bool> begins;
  std::string folded = folded_words(name, begins);
  const auto blank = [&](std::string_view word) {
    for (size_t at = folded.find(word); at != std::string::npos; at = folded.find(word, at))
      folded.replace(at, word.size(), word.size(), ' ');
  };
  for (std::string_view word : kHarmless) blank(word);
  // An author, who does not authorise.
  for (size_t at = folded.find("author"); at != std::string::npos; at = folded.find("author", at + 1)) {
    const std::string_view rest = std::string_view(folded).substr(at + 6);
    if (!rest.starts_with("iz") && !rest.starts_with("is")) folded.replace(at, 6, 6, ' ');
  }
  for (std::string_view word : kAuthority) {
    if (folded.find(word) != std::string::npos) return word;
  }
  for (std::string_view word : kShortWords) {
    for (size_t at = folded.find(word); at != std::string::npos; at = folded.find(word, at + 1)) {
      if (begins[at]) return word;
    }
  }
  return {};
}

}  // namespace weir::config
