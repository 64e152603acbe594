# Most of what the compiler reads are headers, the same ones for every file: they are compiled once for each of four
# kinds of sources. Headers of weir are among them only where most sources of a kind read them anyway, and would be
# compiled again after a change of theirs. What a file needs it includes all the same: sources are also built without
# (WEIR_PCH=OFF, and always by clang), and every header alone.
option(WEIR_PCH "Compile the headers that most sources read once" ON)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Half a gigabyte may be garbage before the compiler collects it: an eighth of its time.
  add_compile_options(--param=ggc-min-heapsize=524288)
else()
  set(WEIR_PCH OFF)
endif()
if(WEIR_PCH)
  # What is inlined from a precompiled header has lost that it is the system's, whose false alarms are not reported.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds> $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overread>
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow> $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
# Ours are not the system's: what they are warned for is said.
set(CMAKE_PCH_PROLOGUE "")
# A precompiled header is good for one kind of code alone: programs are compiled as libraries are.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)

set(weir_pch_std
  <algorithm> <array> <atomic> <bitset> <cerrno> <charconv> <chrono> <cmath> <cstddef> <cstdint> <cstdio> <cstdlib>
  <cstring> <deque> <functional> <initializer_list> <iterator> <limits> <list> <map> <memory> <new> <numeric> <optional>
  <set> <span> <string> <string_view> <thread> <tuple> <type_traits> <unordered_map> <unordered_set> <utility> <variant>
  <vector> <netinet/in.h> <sys/socket.h> <unistd.h> <absl/functional/any_invocable.h>
  <absl/status/status.h> <absl/status/statusor.h>)
set(weir_pch_proxy ${weir_pch_std}
  "\"core/event/lane.h\"" "\"core/filter/http_filter.h\"" "\"core/filter/transport_socket.h\"" "\"core/match/header_matcher.h\""
  "\"core/match/matcher_tree.h\"" "\"core/route/route.h\"" "\"core/stats/store.h\"" "\"core/stream/formatter.h\""
  "\"core/stream/stream_info.h\"" "\"core/upstream/lane_clusters.h\"")
set(weir_pch_api ${weir_pch_std}
  <google/protobuf/descriptor.h> <google/protobuf/dynamic_message.h> <google/protobuf/message.h>
  "\"envoy/config/bootstrap/v3/bootstrap.pb.h\"" "\"envoy/config/route/v3/route.pb.h\""
  "\"envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h\""
  "\"core/filter/config_translator.h\"" "\"core/filter/http_filter.h\"" "\"core/filter/register.h\"" "\"core/filter/registry.h\""
  "\"core/stream/formatter.h\"")
set(weir_pch_test ${weir_pch_std} <fstream> <sstream> <gtest/gtest.h>)

# weir_use_precompiled(TARGET KIND): KIND is std, proxy, api (weir_api is linked, so its flags count) or test.
function(weir_use_precompiled target kind)
  if(NOT WEIR_PCH)
    return()
  endif()
  set(owner weir_pch_${kind})
  if(NOT TARGET ${owner})
    set(source ${CMAKE_BINARY_DIR}/generated/precompiled_${kind}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "// Generated: owner of the precompiled headers of this kind.\n")
    add_library(${owner} OBJECT ${source})
    target_precompile_headers(${owner} PRIVATE ${${owner}})
    if(kind STREQUAL api)
      target_link_libraries(${owner} PRIVATE weir_api)
    elseif(kind STREQUAL test)
      target_link_libraries(${owner} PRIVATE gtest)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
