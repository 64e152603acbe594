// What rules.cc says about a value that does not pass, in words. No messages are known here.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/config/rules_data.h"

namespace weir::config {

std::string number_text(double number, bool seconds);

// RFC 9110 section 5.1, or a pseudo-header.
bool is_header_name(std::string_view text);

// 4, 6, or 0 if it is not an IP address.
int ip_version(std::string_view text);

// What the range checks of one field allow, together.
std::string range_text(const std::vector<RuleRow>& rows, bool seconds);

// Why a text does not pass a check; empty if it does, or if the check is not about texts.
std::string text_fault(const RuleRow& row, std::string_view text);

}  // namespace weir::config
