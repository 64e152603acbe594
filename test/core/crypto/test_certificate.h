// A certificate and keys for tests, made with openssl(1). Not secret and used for nothing else.
#pragma once

#include <string_view>

namespace weir::test {

// CN=www.example.com, several kinds of names, valid for a hundred years.
constexpr std::string_view kCertificate = R"(-----BEGIN CERTIFICATE-----
MIICFzCCAb2gAwIBAgIEEjSrzTAKBggqhkjOPQQDAjAsMRAwDgYDVQQKDAdFeGFt
cGxlMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wIBcNMjYxMTI2MDMzOTE3WhgP
MjEyNjExMDIwMzM5MTdaMCwxEDAOBgNVBAoMB0V4YW1wbGUxGDAWBgNVBAMMD3d3
dy5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHLG7m+hdr07
JHB0twOX6XbYpge+dAu/enf74k9n/OlPk4z9if8dS5Vlpi4Ywm0IGxN4EjJd39vT
GAKbytszPFejgcowgccwHQYDVR0OBBYEFLQZdo4tp9GR1XJipqNK4D3D/vCnMB8G
A1UdIwQYMBaAFLQZdo4tp9GR1XJipqNK4D3D/vCnMA8GA1UdEwEB/wQFMAMBAf8w
dAYDVR0RBG0wa4IPd3d3LmV4YW1wbGUuY29tgg0qLmV4YW1wbGUub3JnhiBzcGlm
ZmU6Ly9jbHVzdGVyLmxvY2FsL25zL2Evc2EvYocEwAACAYcQIAENuAAAAAAAAAAA
AAAAAYEPb3BzQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIQCMc5H1fRHd
jdsOD9ZW4AOdzi8l913tPIjR57KfG44AnwIgNlmzK2tRoy1ptzdjKNhc1OBxLYK+
XJ+ClgtaFjeVnBE=
-----END CERTIFICATE-----
)";
// The key of kCertificate.
constexpr std::string_view kKey = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFz9ZfC2swDedoA7W5d5LSpBmk0dBKuaAOC2Q7gm6VcpoAoGCCqGSM49
AwEHoUQDQgAEcsbub6F2vTskcHS3A5fpdtimB750C796d/viT2f86U+TjP2J/x1L
lWWmLhjCbQgbE3gSMl3f29MYApvK2zM8Vw==
-----END EC PRIVATE KEY-----
)";
// The same key; its password is "open-sesame".
constexpr std::string_view kEncryptedKey = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjJiwuyxIk3jAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEF8aUJvbiSzjhqkMwahLGsQEgZBD
L706ScDqbDZTnqDNc6UEAKnVmO64/SE1inAtfSfUHmwyefyzSIdd9HmYYlghIrQK
N9kbzIpT5A9WPAMT/ObFMMb/4STJlmpooGoa40yqO2oVc71gn+MDI76kADLDWHZY
5BgB2klEuPQdMzpmKpkDCefbNgLwiX9AYTXU+QnDb6mNNplHc3riqajd9ifeUwI=
-----END ENCRYPTED PRIVATE KEY-----
)";
// Another key.
constexpr std::string_view kOtherKey = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIDev4EdRkKqVqAtwnH6HtBkjNzgnpp72puuir+6PZ72soAoGCCqGSM49
AwEHoUQDQgAElwdaCDE1B6rElgeEef/vpm98TqFMw78nUL7WVs04dtfsOgLrATSe
uLPRr+Ft/Gjwp2CzoR63P2WqmejuSnnWBg==
-----END EC PRIVATE KEY-----
)";

}  // namespace weir::test
