#!/bin/bash
# compile.sh CCACHE COMPILER ARGUMENT...: compiles through the compiler cache (CMAKE_CXX_COMPILER_LAUNCHER).
# The cache would read a precompiled header of 100 to 300 MB for every file that is compiled with it: beside each is left
# a checksum, which it reads instead. The macros of other libraries do not change between two compilations.
ccache=$1
shift
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
for argument; do
  if [[ $argument == *.gch ]]; then
    "$ccache" "$@" || exit
    exec b2sum --length 128 <"$argument" >"$argument.sum"
  fi
done
exec "$ccache" "$@"
