#include "test/core/stream/sample_stream.h"

namespace weir::stream {
namespace {

using Node = JsonFormat::Node;

class JsonFormatTest : public SampleStream {
 protected:
  static Node leaf(std::string key, std::string_view format, const Format::Options& options = {}) {
    auto compiled = Format::compile(format, options);
    EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
    return {.key = std::move(key), .format = std::move(*compiled)};
  }
  template <class... Nodes>
  static Node object(std::string key, Nodes... nodes) {
    Node made{.kind = Node::Kind::kObject, .key = std::move(key)};
    (made.children.push_back(std::move(nodes)), ...);
    return made;
  }
  std::string line(Node root) {
    std::string out;
    JsonFormat(std::move(root)).append(subject(), out);
    return out;
  }
};

TEST_F(JsonFormatTest, TypesOfValues) {
  Node list{.kind = Node::Kind::kList, .key = "list"};
  list.children.push_back(leaf("", "%PROTOCOL%"));
  list.children.push_back({.kind = Node::Kind::kNumber, .literal = "1.5"});
  list.children.push_back({.kind = Node::Kind::kBool, .literal = "true"});
  list.children.push_back({.kind = Node::Kind::kNull});
  EXPECT_EQ(
      line(object("", leaf("code", "%RESPONSE_CODE%"), leaf("code_text", "code %RESPONSE_CODE%"),
                  leaf("cut", "%RESPONSE_CODE%:"), leaf("none", "%REQ(X-NONE)%"), leaf("flags", "%RESPONSE_FLAGS%"),
                  leaf("mixed", "%REQ(X-NONE)%/%PROTOCOL%"), leaf("text", ""), leaf("port", "%DOWNSTREAM_REMOTE_PORT%"),
                  leaf("no_number", "%ROUNDTRIP_DURATION%"), leaf("start", "%START_TIME(%s)%"), std::move(list),
                  object("nested", leaf("a", "b")))),
      R"({"code":503,"code_text":"code 503","cut":"503:","none":null,"flags":"UF,URX","mixed":"-/HTTP/1.1","text":"",)"
      R"("port":5555,"no_number":null,"start":"1514764800","list":["HTTP/1.1",1.5,true,null],"nested":{"a":"b"}})"
      "\n");
}

TEST_F(JsonFormatTest, OmittedValues) {
  Format::Options omit{.omit_empty = true};
  EXPECT_EQ(line(object("", leaf("a", "%REQ(X-NONE)%", omit), leaf("b", "%REQ(X-NONE)%/%PROTOCOL%", omit),
                        leaf("c", "%ROUNDTRIP_DURATION%", omit), Node{.kind = Node::Kind::kNull, .key = "d"})),
            "{\"b\":\"/HTTP/1.1\",\"d\":null}\n");
}

TEST_F(JsonFormatTest, WhatPeersSendStaysInItsString) {
  request_.set(http::HeaderId::kUserAgent, "\",\"admin\":true}\n{\\\x01\xff\xc3\xbc");
  EXPECT_EQ(line(object("", leaf("k\"ey", "say \"%REQ(USER-AGENT)%\""))),
            "{\"k\\\"ey\":\"say \\\"\\\",\\\"admin\\\":true}\\n{\\\\\\u0001\\u00ff\xc3\xbc\\\"\"}\n");
}

TEST_F(JsonFormatTest, SortedKeys) {
  Node root = object("", leaf("b", "1"), object("a", leaf("d", "2"), leaf("c", "3")));
  JsonFormat::sort_keys(root);
  EXPECT_EQ(line(std::move(root)), "{\"a\":{\"c\":\"3\",\"d\":\"2\"},\"b\":\"1\"}\n");
}

}  // namespace
}  // namespace weir::stream
