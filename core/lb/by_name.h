// Balancing for clusters whose hosts are names that requests bring: each name has hosts of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/lb/policy.h"

namespace weir::lb {

// Of the table: how a host is chosen among those of a name. Null: there is one for each.
struct ByName {
  const PolicyDescriptor* within = nullptr;
  std::shared_ptr<const void> config;
};

// PickInput::name tells which name is wanted. Its configuration is a ByName.
const PolicyDescriptor& by_name();
// Of a cluster that has no hosts: it never picks one.
const PolicyDescriptor& no_policy();

// "example.com", 80 -> "example.com:80", how names are told apart: in small letters, addresses of IPv6 without
// brackets.
std::string name_key(std::string_view host, uint16_t port);
// Of a host in such a cluster.
std::string name_key_of(const HostEntry& entry);

}  // namespace weir::lb
