// HTTP/1.1 (RFC 9112) without I/O: bytes in, events out, bytes out into a write queue. Strict: an ambiguous message is
// rejected with a named reason, never repaired.
#pragma once

#include "core/http/h1/client_codec.h"
#include "core/http/h1/encoder.h"
#include "core/http/h1/error.h"
#include "core/http/h1/message.h"
#include "core/http/h1/server_codec.h"
