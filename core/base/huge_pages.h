// Large pages for what is read at random: of a table of many megabytes nearly every line is on a page whose place the
// processor has forgotten, and under a hypervisor finding it again costs more than the line.
#pragma once

#include <cstddef>

namespace weir {

// Moves what this process has allocated into pages of 2 MiB, where it fills nine tenths of one anyway: nothing grows by
// more than the rest. Costs up to a millisecond per page that is not large yet, in which other threads may wait for it.
// The number of bytes in such pages now; 0 where the kernel cannot (before Linux 6.1), or is told to have none
// (transparent_hugepage/enabled: never). [any]
size_t collapse_to_huge_pages();

}  // namespace weir
