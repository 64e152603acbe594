// Several faults of one value in the message of one status, told at once.
#pragma once

namespace weir {

// Between them.
inline constexpr char kNextFault = '\x1e';

}  // namespace weir
