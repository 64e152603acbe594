#include "core/crypto/digest.h"

#include <gtest/gtest.h>

#include "core/crypto/library.h"

namespace weir::crypto {
namespace {

class DigestTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(open_library().ok()); }
};

// FIPS 180-4 and RFC 4231 test cases.
TEST_F(DigestTest, KnownAnswers) {
  EXPECT_EQ(to_hex(md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(to_hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// RFC 4648 section 10.
TEST_F(DigestTest, WritesBase64) {
  const auto written = [](std::string_view text) {
    return to_base64(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  EXPECT_EQ(written(""), "");
  EXPECT_EQ(written("f"), "Zg==");
  EXPECT_EQ(written("fo"), "Zm8=");
  EXPECT_EQ(written("foo"), "Zm9v");
  EXPECT_EQ(written("foob"), "Zm9vYg==");
  EXPECT_EQ(written("fooba"), "Zm9vYmE=");
  EXPECT_EQ(written("foobar"), "Zm9vYmFy");
  EXPECT_EQ(written("\xfb\xff"), "+/8=");
}

TEST_F(DigestTest, ComparesTexts) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("secret", "secret"));
  EXPECT_FALSE(equal_in_constant_time("secret", "secreT"));
  EXPECT_FALSE(equal_in_constant_time("secret", "secret "));
}

}  // namespace
}  // namespace weir::crypto
