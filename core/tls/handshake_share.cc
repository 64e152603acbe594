#include "core/tls/handshake_share.h"

#include "core/runtime/runtime.h"

namespace weir::tls {
namespace {

const runtime::RuntimeUnsigned kHandshakes{4, runtime::Key("overload.tls_handshakes_per_turn")};

}  // namespace

uint32_t HandshakeShare::of_turn(event::Lane& lane) { return kHandshakes.get(lane.slots()); }

}  // namespace weir::tls
