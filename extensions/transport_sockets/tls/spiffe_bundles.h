// The bundles of several trust domains in one text of JSON:
//   {"trust_domains": {"example.org": {"keys": [{"use": "x509-svid", "x5c": ["MIIC..."], ...}], ...}}}
// Each is a bundle as "SPIFFE Trust Domain and Bundle" (section 4) defines it; keys for other uses are passed over.
// [main]
#pragma once

#include <vector>

#include "core/base/status.h"
#include "core/tls/source.h"
#include "core/tls/verifier.h"

namespace weir::transport_sockets {

// A trust domain without certificates is left out: nobody of it is trusted.
Result<std::vector<tls::VerifierSpec::TrustDomain>> read_trust_bundles(const tls::Source& source);

}  // namespace weir::transport_sockets
