#include "core/proxy/client_certificate.h"

#include <string>
#include <string_view>

namespace weir::proxy {
namespace {

using net::CertificateFact;
using net::End;
using net::NameKind;

class Element {
 public:
  void add(std::string_view key, std::string_view value, bool quoted) {
    if (!text_.empty()) text_ += ';';
    text_ += key;
    text_ += '=';
    // The owner of a certificate may have chosen its names: none of them ends an element or begins another.
    if (!quoted && value.find_first_of(",;=\"\\ \t") == std::string_view::npos) {
      text_ += value;
      return;
    }
    text_ += '"';
    for (char c : value) {
      if (c == '"') text_ += '\\';
      if (c == '\\') {  // readers differ in what it does to the quote that may follow
        text_ += "%5C";
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }
  // Of RFC 2253, which has escapes of its own: of a quote it is the one that readers expect, and of itself it has
  // another.
  void add_subject(std::string_view value) {
    if (!text_.empty()) text_ += ';';
    text_ += "Subject=\"";
    for (size_t i = 0; i < value.size(); ++i) {
      const bool escape = value[i] == '\\' && i + 1 < value.size();
      if (escape && value[i + 1] == '\\') {
        text_ += "\\5C";
        ++i;
      } else if (escape && value[i + 1] == '"') {
        text_ += "\\\"";
        ++i;
      } else {
        if (value[i] == '"') text_ += '\\';
        text_ += value[i];
      }
    }
    text_ += '"';
  }
  std::string_view text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

void forward_client_certificate(ForwardClientCert mode, const ClientCertDetails& details, net::TransportFacts* tls,
                                http::HeaderMap& headers, Arena& arena) {
  static const http::HeaderName kName(http::HeaderId::kXForwardedClientCert);
  if (mode == ForwardClientCert::kAlwaysForwardOnly) return;
  if (mode == ForwardClientCert::kSanitize || tls == nullptr || !tls->presented()) {
    if (headers.contains(kName.id())) headers.remove(kName);
    return;
  }
  if (mode == ForwardClientCert::kForwardOnly) return;

  Element element;
  for (std::string_view uri : tls->names(End::kLocal, NameKind::kUri).each) element.add("By", uri, false);
  const auto add = [&](std::string_view key, CertificateFact fact) {
    const std::string_view value = tls->certificate(End::kPeer, fact);
    if (!value.empty()) element.add(key, value, fact != CertificateFact::kSha256);
  };
  add("Hash", CertificateFact::kSha256);
  if (details.certificate) add("Cert", CertificateFact::kPem);
  if (details.chain) add("Chain", CertificateFact::kPemChain);
  if (details.subject) element.add_subject(tls->certificate(End::kPeer, CertificateFact::kSubject));
  const auto& uris = tls->names(End::kPeer, NameKind::kUri).each;
  if (details.uri && uris.empty()) element.add("URI", "", false);
  if (details.uri) {
    for (std::string_view uri : uris) element.add("URI", uri, false);
  }
  if (details.dns) {
    for (std::string_view dns : tls->names(End::kPeer, NameKind::kDns).each) element.add("DNS", dns, false);
  }
  std::string_view made = arena.copy(element.text());
  // Behind all that was there, in whatever lines: who reads it looks for ours at the end.
  if (mode == ForwardClientCert::kAppendForward && headers.contains(kName.id())) {
    const std::string_view before = headers.get_all(kName, arena);
    if (!before.empty()) made = arena.concat(before, ",", made);
  }
  headers.set(kName, made);
}

}  // namespace weir::proxy
