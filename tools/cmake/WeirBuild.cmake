# Build rules shared by every folder: one library per folder, one plugin per call, one test program per folder.
option(WEIR_TESTS "Build the tests" OFF)
option(WEIR_BENCH "Build the benchmark tools" OFF)
option(WEIR_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(WEIR_COVERAGE "Count which lines run, clang's way (tools/dev fuzz --coverage)" OFF)
option(WEIR_WERROR "Warnings are errors" OFF)
set(WEIR_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")
set(WEIR_OMIT_PLUGINS "" CACHE STRING "Plugins (kind:name) to leave out of the binary")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")
set(CMAKE_C_FLAGS_DEBUG "-Og -g1")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CCACHE_PROGRAM ${CMAKE_SOURCE_DIR}/tools/cmake/compile.sh ${CCACHE_PROGRAM})
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM AND NOT WEIR_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -fno-strict-aliasing -fno-omit-frame-pointer -momit-leaf-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(WEIR_WERROR)
  add_compile_options(-Werror)
endif()
if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
  add_compile_definitions(WEIR_SANITIZED=1)
endif()
if(WEIR_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
elseif(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
include(Precompiled)
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)

find_package(Threads REQUIRED)

# The third-party libraries are linked from Debian's static archives, and none of their symbols is exported: a plugin
# may carry its own copy of any of them.
add_library(weir_dep_uv INTERFACE)
target_link_libraries(weir_dep_uv INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libuv_a.a Threads::Threads dl)
add_library(weir_dep_cares INTERFACE)
target_link_libraries(weir_dep_cares INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libcares.a)
add_library(weir_dep_nghttp2 INTERFACE)
target_link_libraries(weir_dep_nghttp2 INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libnghttp2.a)
add_library(weir_dep_yaml INTERFACE)
target_link_libraries(weir_dep_yaml INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libyaml.a)
add_library(weir_dep_re2 INTERFACE)
target_link_libraries(weir_dep_re2 INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libre2.a Threads::Threads)
add_library(weir_dep_zlib INTERFACE)
target_link_libraries(weir_dep_zlib INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libz.a)
add_library(weir_dep_brotli INTERFACE)
target_link_libraries(weir_dep_brotli INTERFACE
  /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libbrotlienc.a /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libbrotlidec.a
  /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libbrotlicommon.a m)
add_library(weir_dep_zstd INTERFACE)
target_link_libraries(weir_dep_zstd INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libzstd.a Threads::Threads)
add_library(weir_dep_protobuf INTERFACE)
target_link_libraries(weir_dep_protobuf INTERFACE /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libprotobuf.a
  weir_dep_zlib Threads::Threads)
if(WEIR_SANITIZE MATCHES "thread")
  # protobuf's headers lay maps out differently under TSan, but Debian's library was built without it.
  target_compile_options(weir_dep_protobuf INTERFACE -U__SANITIZE_THREAD__)
endif()
# Debian's CMake files for abseil name the shared libraries; pkg-config knows which archives they consist of.
find_package(PkgConfig REQUIRED)
execute_process(COMMAND ${PKG_CONFIG_EXECUTABLE} --static --libs-only-l absl_status absl_statusor
  OUTPUT_VARIABLE absl_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(absl_flags)
list(REMOVE_DUPLICATES absl_flags)
set(absl_archives "")
foreach(flag ${absl_flags})
  if(flag MATCHES "^-l(absl_.*)$")
    list(APPEND absl_archives /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/lib${CMAKE_MATCH_1}.a)
  endif()
endforeach()
add_library(weir_dep_absl INTERFACE)
target_link_libraries(weir_dep_absl INTERFACE -Wl,--start-group ${absl_archives} -Wl,--end-group Threads::Threads)

# weir_library(NAME SOURCES a.cc ... DEPS weir_base ...): the static library weir_NAME of one core/ folder.
function(weir_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(weir_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(weir_${name} PUBLIC ${ARG_DEPS})
  weir_precompile(weir_${name} ${ARG_DEPS})
endfunction()

# Sources of a library with these dependencies read the API, or they do not. Those that do cost more by its headers than
# by what is in them: they are compiled a few at a time, so what is local to a file has a name that is unique in its library.
function(weir_precompile target)
  set(reads_api ${ARGN})
  list(FILTER reads_api INCLUDE REGEX "^weir_(api|config|config_loader|lb_locality|lb_consistent|access_log_format)$")
  if(reads_api)
    weir_use_precompiled(${target} api)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ${WEIR_PCH} UNITY_BUILD_BATCH_SIZE 5)
  elseif(target MATCHES "^weir_(upstream|route)$" OR weir_upstream IN_LIST ARGN)
    weir_use_precompiled(${target} proxy)
  else()
    weir_use_precompiled(${target} std)
  endif()
endfunction()

# weir_add_plugin(KIND NAME SOURCES ... DEPS ...): a plugin library whose exported function
# weir::plugins::KIND_NAME() is named in the generated descriptor table.
# KIND: http_filter, network_filter, listener_filter, udp_filter, lb, access_logger, ...
function(weir_add_plugin kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(weir_${kind}_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(weir_${kind}_${name} PUBLIC ${ARG_DEPS})
  weir_precompile(weir_${kind}_${name} ${ARG_DEPS})
  if(NOT "${kind}:${name}" IN_LIST WEIR_OMIT_PLUGINS)
    set_property(GLOBAL APPEND PROPERTY WEIR_PLUGINS ${kind}_${name})
  endif()
endfunction()

# Makes the library weir_plugins: every plugin of this build in one table.
function(weir_generate_plugin_table)
  get_property(plugins GLOBAL PROPERTY WEIR_PLUGINS)
  weir_plugin_table(weir_plugins ${plugins})
endfunction()

# weir_plugin_table(LIBRARY KIND_NAME ...): writes generated/LIBRARY.cc, the table of these plugins, and makes it a library.
function(weir_plugin_table library)
  set(plugins ${ARGN})
  list(SORT plugins)
  set(declarations "")
  set(entries "")
  set(libraries "")
  foreach(plugin ${plugins})
    string(APPEND declarations "void ${plugin}(filter::RegistryBuilder& registry);\n")
    string(APPEND entries "  plugins::${plugin}(registry);\n")
    list(APPEND libraries weir_${plugin})
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${library}.cc @ONLY CONTENT
"// Generated by weir_plugin_table(): plugins in alphabetical order.
#include \"core/filter/registry.h\"
namespace weir {
namespace plugins {
@declarations@}  // namespace plugins
void register_built_in_plugins(filter::RegistryBuilder& registry) {
@entries@}
}  // namespace weir
")
  add_library(${library} STATIC ${CMAKE_BINARY_DIR}/generated/${library}.cc)
  target_link_libraries(${library} PUBLIC weir_filter ${libraries})
endfunction()

# weir_test(NAME SOURCES a_test.cc ... DEPS ...): one GoogleTest program, registered with CTest.
function(weir_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} gtest gtest_main Threads::Threads)
  # Those that link protobuf have other flags then.
  if(NOT WEIR_SANITIZE MATCHES "thread")
    weir_use_precompiled(${name} test)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# weir_fuzz_target(NAME SOURCES ... DEPS ... COVERS file ...): test/fuzz only; NAME's seed corpus is test/fuzz/corpus/NAME.
# COVERS: the files (from the top of the tree) of which its corpus is to run most lines: tools/dev fuzz --coverage NAME.
# Without WEIR_FUZZ it is the test fuzz_NAME, which runs the seeds once.
function(weir_fuzz_target name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;COVERS" ${ARGN})
  foreach(file ${ARG_COVERS})
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
      message(FATAL_ERROR "fuzz target ${name}: ${file} does not exist")
    endif()
  endforeach()
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_DEPS})
  if(NOT WEIR_FUZZ)
    target_link_libraries(fuzz_${name} PRIVATE weir_fuzz_seeds)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 120)
    return()
  endif()
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  list(JOIN ARG_COVERS "\n" covers)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.covers CONTENT "@covers@\n" @ONLY)
endfunction()
