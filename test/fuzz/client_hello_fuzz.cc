// First messages of TLS clients: whatever pieces and records they come in the answer is the same, and what was read
// lies within the message.
#include <algorithm>
#include <cstdint>
#include <string>

#include "core/crypto/library.h"
#include "filters/listener/tls_inspector/client_hello.h"
#include "filters/listener/tls_inspector/fingerprint.h"
#include "test/fuzz/input.h"

namespace {

using namespace weir::filters::tls_inspector;

// The content of the records, cut anew.
std::string cut_anew(std::string_view records, size_t size) {
  std::string content, cut;
  for (Reader reader(records); !reader.done();) {
    reader.take(3);
    const size_t whole = reader.number(2);
    content += reader.take(std::min(whole, reader.left().size()));  // more may be behind the message
  }
  for (size_t at = 0; at < content.size(); at += size) {
    const std::string part = content.substr(at, size);
    cut += std::string("\x16\x03\x01", 3) + static_cast<char>(part.size() >> 8) + static_cast<char>(part.size()) + part;
  }
  return cut;
}

bool same(const ClientHello& a, const ClientHello& b) {
  return a.version == b.version && a.ciphers == b.ciphers && a.extensions == b.extensions &&
         a.names_server == b.names_server && a.server_name == b.server_name && a.protocols == b.protocols &&
         a.groups == b.groups && a.point_formats == b.point_formats && a.versions == b.versions &&
         a.signature_algorithms == b.signature_algorithms;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  weir::crypto::require_library();
  const size_t max_size = data[0] < 128 ? 16384 : 256 + data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto require = [&](bool condition) { weir::fuzz::require(condition, "the message is not read as one", bytes); };

  ClientHello hello;
  const Parsed parsed = parse_client_hello(bytes, max_size, hello);
  if (parsed == Parsed::kNotYet) require(hello.needed > bytes.size() && hello.needed <= max_size + kRecordHeader);

  // As the filter asks: again when there is what was needed.
  Parsed last = Parsed::kNotYet;
  for (size_t part = 1; part <= bytes.size() && last == Parsed::kNotYet;) {
    ClientHello grown;
    last = parse_client_hello(bytes.substr(0, part), max_size, grown);
    if (last == Parsed::kNotYet) {
      require(grown.needed > part);
      part = grown.needed;
    }
  }
  if (last != Parsed::kNotYet) require(last == parsed);
  if (parsed != Parsed::kHello) return 0;
  require(last == Parsed::kHello);

  require(hello.size <= bytes.size() && hello.size <= max_size);
  require(hello.server_name.size() <= kMaxServerName && (hello.names_server || hello.server_name.empty()));
  require(hello.extensions.size() < hello.size);
  for (Reader names(hello.protocols); !names.done();) require(!names.sized(1).empty());
  const std::string own_ja4 = ja4(hello);
  require(own_ja4.size() == 36 && ja3(hello).size() == 32);

  const std::string_view message = bytes.substr(0, hello.size);
  for (size_t step : {size_t{1}, size_t{7}, size_t{16384}}) {
    const std::string anew = cut_anew(message, step);
    ClientHello again;
    require(parse_client_hello(anew, anew.size(), again) == Parsed::kHello);
    require(same(hello, again) && ja4(again) == own_ja4);
  }
  return 0;
}
