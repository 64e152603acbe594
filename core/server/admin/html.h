// Pages for people, each of which needs nothing else: no script, no other file.
#pragma once

#include <string>
#include <string_view>

#include "core/server/admin/message.h"

namespace weir::admin {

// What a page begins and ends with.
inline constexpr std::string_view kPageHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>weir admin</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
code, a, button { font-family: ui-monospace, monospace; font-size: .95em; }
button { font-size: .95em; padding: .1rem .5rem; cursor: pointer; }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
form { margin: 0; } label { margin-right: .6rem; white-space: nowrap; } .bad { font-weight: bold; } small { opacity: .8; display: block; }
</style>
</head>
<body>
<main>
)";

inline constexpr std::string_view kPageEnd = "</main>\n</body>\n</html>\n";

// The answer is such a page: its type, and what a browser may do with it.
void make_page(AdminResponse& response);
// Any text as one of a page or of an attribute in double quotes.
std::string html_text(std::string_view text);

}  // namespace weir::admin
