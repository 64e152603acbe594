# Makes generated headers usable from C++20 when a field is called `requires`: its accessor becomes requires_().
# Run after protoc: cmake -DDIR=<output directory> -DFILES=<.proto files> -P requires_word.cmake
foreach(proto ${FILES})
  string(REGEX REPLACE "\\.proto$" ".pb.h" header ${DIR}/${proto})
  file(READ ${header} text)
  if(text MATCHES "[^A-Za-z0-9_]requires\\(")
    string(REPLACE "#include <google/protobuf/port_def.inc>" "#include <google/protobuf/port_def.inc>\n#define requires requires_"
      text "${text}")
    string(REPLACE "#include <google/protobuf/port_undef.inc>" "#undef requires\n#include <google/protobuf/port_undef.inc>"
      text "${text}")
    file(WRITE ${header} "${text}")
  endif()
endforeach()
