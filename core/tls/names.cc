#include "core/tls/names.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "core/http/chars.h"
#include "core/net/address.h"

namespace weir::tls {
namespace {

using net::NameKind;

std::string_view view_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string utf8_of(const ASN1_STRING* text) {
  uint8_t* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, text);
  bssl::UniquePtr<uint8_t> owned(bytes);
  return size > 0 ? std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)) : std::string();
}

std::string text_of(const ASN1_OBJECT* object) {
  char text[256];
  const int size = OBJ_obj2txt(text, sizeof(text), object, /*always_return_oid=*/1);
  return size > 0 && static_cast<size_t>(size) < sizeof(text) ? std::string(text) : std::string();
}

std::string text_of(const ASN1_TYPE* value) {
  switch (ASN1_TYPE_get(value)) {
    case V_ASN1_BOOLEAN:
      return value->value.boolean != 0 ? "true" : "false";
    case V_ASN1_INTEGER:
    case V_ASN1_ENUMERATED: {
      bssl::UniquePtr<BIGNUM> number(ASN1_INTEGER_to_BN(value->value.integer, nullptr));
      bssl::UniquePtr<char> text(number != nullptr ? BN_bn2dec(number.get()) : nullptr);
      return text != nullptr ? text.get() : std::string();
    }
    case V_ASN1_OBJECT:
      return text_of(value->value.object);
    case V_ASN1_OCTET_STRING:
      return std::string(view_of(value->value.octet_string));
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_T61STRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
    case V_ASN1_VISIBLESTRING:
    case V_ASN1_NUMERICSTRING:
      return utf8_of(value->value.asn1_string);
    default:
      return {};
  }
}

std::string ip_text(const ASN1_OCTET_STRING* bytes) {
  const int size = ASN1_STRING_length(bytes);
  if (size != 4 && size != 16) return {};
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof(text)) == nullptr) return {};
  return text;
}

}  // namespace

std::vector<San> names_of(const x509_st* certificate) {
  std::vector<San> names;
  bssl::UniquePtr<GENERAL_NAMES> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  for (size_t i = 0; all != nullptr && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    San san{NameKind::kOther, {}, {}};
    switch (name->type) {
      case GEN_DNS:
        san = {NameKind::kDns, std::string(view_of(name->d.dNSName)), {}};
        break;
      case GEN_URI:
        san = {NameKind::kUri, std::string(view_of(name->d.uniformResourceIdentifier)), {}};
        break;
      case GEN_EMAIL:
        san = {NameKind::kEmail, std::string(view_of(name->d.rfc822Name)), {}};
        break;
      case GEN_IPADD:
        san = {NameKind::kIp, ip_text(name->d.iPAddress), {}};
        if (san.text.empty()) continue;
        break;
      case GEN_OTHERNAME:
        san = {NameKind::kOther, text_of(name->d.otherName->value), text_of(name->d.otherName->type_id)};
        break;
      default:
        continue;
    }
    if (!has_control(san.text)) names.push_back(std::move(san));
  }
  ERR_clear_error();
  return names;
}

std::string common_name_of(const x509_st* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  std::string text = value != nullptr ? utf8_of(value) : std::string();
  ERR_clear_error();
  return has_control(text) ? std::string() : text;
}

bool dns_name_matches(std::string_view certificate_name, std::string_view name) {
  if (http::equals_ignoring_case(certificate_name, name)) return !name.empty();
  if (!certificate_name.starts_with("*.")) return false;
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return false;
  return http::equals_ignoring_case(certificate_name.substr(1), name.substr(dot)) &&
         !net::Address::from_ip(name, 0).ok();
}

bool ip_matches(std::string_view certificate_ip, std::string_view ip) {
  const auto wanted = net::Address::from_ip(ip, 0);
  const auto has = net::Address::from_ip(certificate_ip, 0);
  return wanted.ok() && has.ok() && wanted->same_ip(*has);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = http::to_lower(c);
  return lower;
}

}  // namespace weir::tls
