// What a handshake has shown, as a test says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/net/transport_facts.h"

namespace weir::test {

class FakeTransportFacts final : public net::TransportFacts {
 public:
  using End = net::End;
  using CertificateFact = net::CertificateFact;
  using SessionFact = net::SessionFact;
  using NameKind = net::NameKind;

  FakeTransportFacts& set(SessionFact fact, std::string text) {
    session_[fact] = std::move(text);
    return *this;
  }
  FakeTransportFacts& set(CertificateFact fact, std::string text, End end = End::kPeer) {
    certificate_[{end, fact}] = std::move(text);
    return *this;
  }
  FakeTransportFacts& set(NameKind kind, std::vector<std::string> names, End end = End::kPeer) {
    Kept& kept = names_[{end, kind}];
    kept.texts = std::move(names);
    kept.each.assign(kept.texts.begin(), kept.texts.end());
    kept.joined.clear();
    for (const std::string& name : kept.texts) kept.joined += (kept.joined.empty() ? "" : ",") + name;
    kept.names = {kept.each, kept.joined};
    return *this;
  }
  bool shows = false, trusted = false;
  WallTime begin{}, end{};

  std::string_view session(SessionFact fact) override { return session_[fact]; }
  std::string_view certificate(End end, CertificateFact fact) override { return certificate_[{end, fact}]; }
  const Names& names(End end, NameKind kind) override { return names_[{end, kind}].names; }
  WallTime not_before() override { return begin; }
  WallTime not_after() override { return end; }
  bool presented() override { return shows; }
  bool validated() override { return trusted; }

 private:
  struct Kept {
    std::vector<std::string> texts;
    std::vector<std::string_view> each;
    std::string joined;
    Names names;
  };
  std::map<SessionFact, std::string> session_;
  std::map<std::pair<End, CertificateFact>, std::string> certificate_;
  std::map<std::pair<End, NameKind>, Kept> names_;
};

}  // namespace weir::test
