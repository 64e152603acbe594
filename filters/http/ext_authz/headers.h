// What both kinds of services have in common: which headers are told and taken over, and as what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/http/header_map.h"
#include "core/match/string_matcher.h"

namespace weir::filters::ext_authz {

// Names of headers.
using NameList = std::vector<match::StringMatcher>;
bool is_in(const NameList& list, std::string_view name);

// What says how this one message is framed, or is about its connection: of no use to another message, whatever a list
// says.
bool frames_message(http::HeaderId id);
inline bool is_pseudo(std::string_view name) { return !name.empty() && name.front() == ':'; }

// That one says what weir has done; a client could not say it.
const http::HeaderName& partial_body_header();

// As one text, copied to the arena.
std::string_view whole(const Slices& body, Arena& arena);

}  // namespace weir::filters::ext_authz
