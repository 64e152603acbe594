#include "extensions/transport_sockets/tls/spiffe_bundles.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace weir::transport_sockets {
namespace {

const google::protobuf::Value* member(const google::protobuf::Struct& in, const char* name) {
  const auto at = in.fields().find(name);
  return at != in.fields().end() ? &at->second : nullptr;
}

bool is_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos;
}

void append_pem(std::string_view base64, std::string& pem) {
  constexpr size_t kLine = 64;
  pem += "-----BEGIN CERTIFICATE-----\n";
  for (size_t at = 0; at < base64.size(); at += kLine) pem.append(base64.substr(at, kLine)).append("\n");
  pem += "-----END CERTIFICATE-----\n";
}

// What is wrong with the bundle; empty: nothing.
std::string read_bundle(const google::protobuf::Value& bundle, std::string& pem) {
  const google::protobuf::Value* keys = member(bundle.struct_value(), "keys");
  if (keys == nullptr || !keys->has_list_value()) return "has no list \"keys\"";
  const auto& all = keys->list_value().values();
  for (int i = 0; i < all.size(); ++i) {
    const std::string which = "keys[" + std::to_string(i) + "]";
    const auto& key = all[i].struct_value();
    const google::protobuf::Value* use = member(key, "use");
    if (use == nullptr || !use->has_string_value()) return which + " has no \"use\"";
    if (use->string_value() != "x509-svid") continue;
    const google::protobuf::Value* chain = member(key, "x5c");
    if (chain == nullptr || chain->list_value().values().empty()) return which + " has no certificate (\"x5c\")";
    for (const auto& one : chain->list_value().values()) {
      if (!is_base64(one.string_value())) return which + ".x5c is not a certificate in base64";
      append_pem(one.string_value(), pem);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<tls::VerifierSpec::TrustDomain>> read_trust_bundles(const tls::Source& source) {
  google::protobuf::Struct root;
  const auto parsed = google::protobuf::util::JsonStringToMessage(source.bytes, &root);
  if (!parsed.ok()) return invalid(source.origin + ": is not JSON: " + parsed.message().as_string());
  const google::protobuf::Value* all = member(root, "trust_domains");
  if (all == nullptr || !all->has_struct_value())
    return invalid(source.origin + ": has no object \"trust_domains\", which has the bundle of each trust domain");
  std::map<std::string, const google::protobuf::Value*> sorted;
  for (const auto& [name, bundle] : all->struct_value().fields()) sorted.emplace(name, &bundle);
  std::vector<tls::VerifierSpec::TrustDomain> domains;
  for (const auto& [name, bundle] : sorted) {
    tls::VerifierSpec::TrustDomain domain;
    domain.name = name;
    domain.bundle.origin = source.origin + ": trust domain \"" + name + "\"";
    const std::string fault = read_bundle(*bundle, domain.bundle.bytes);
    if (!fault.empty()) return invalid(domain.bundle.origin + ": " + fault);
    if (!domain.bundle.bytes.empty()) domains.push_back(std::move(domain));
  }
  if (domains.empty()) return invalid(source.origin + ": has no certificate of any trust domain");
  return domains;
}

}  // namespace weir::transport_sockets
