// What is said about a certificate: its names, its time, its fingerprint, and whether a key belongs to it. For
// reports, lint and the admin pages; what is presented or trusted in a handshake is core/tls's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"

struct x509_st;

namespace weir::crypto {

// [immutable] [any]
class Certificate {
 public:
  // Every certificate of a PEM text, in its order (RFC 7468); at least one. What stands between them is passed over.
  // The error says which of them is broken, counted from 1.
  static Result<std::vector<Certificate>> parse_pem(std::string_view pem);
  // One certificate in DER, and nothing behind it.
  static Result<Certificate> parse_der(std::string_view der);
  // Takes over one reference. For core/tls.
  static Certificate adopt(x509_st* x509);

  // "CN=www.example.com,O=Example" (RFC 2253).
  std::string subject() const;
  std::string issuer() const;
  std::string serial_hex() const;
  WallTime not_before() const;
  WallTime not_after() const;
  // Of the subject alternative name extension, by kind; empty without one.
  const std::vector<std::string>& dns_names() const { return dns_names_; }
  const std::vector<std::string>& uris() const { return uris_; }
  const std::vector<std::string>& ip_addresses() const { return ip_addresses_; }
  const std::vector<std::string>& emails() const { return emails_; }
  // SHA-256 of its DER form, in hexadecimal.
  std::string fingerprint() const;
  std::string fingerprint_sha1() const;
  std::string der() const;
  std::string pem() const;
  x509_st* handle() const { return x509_.get(); }
  // Whether the private key in this PEM text is this certificate's. An error: it is no key, or needs a password that is
  // not this one. Never says anything of the key itself.
  Status check_key(std::string_view key_pem, std::string_view password) const;

 private:
  struct Free {
    void operator()(x509_st* x509) const;
  };
  explicit Certificate(x509_st* x509) : x509_(x509) {}
  void read_names();

  std::unique_ptr<x509_st, Free> x509_;
  std::vector<std::string> dns_names_, uris_, ip_addresses_, emails_;
};

}  // namespace weir::crypto
