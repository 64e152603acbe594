#include "filters/http/compressor/accept_encoding.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::filters::compressor {
namespace {

// What is chosen, as a text: "gzip", "identity", "none", "no header", "* gzip".
std::string choose(std::string_view header, const std::vector<Offer>& offers) {
  Chosen chosen = choose_encoding(header, offers);
  switch (chosen.choice) {
    case Choice::kNoHeader:
      return "no header";
    case Choice::kNotAccepted:
      return "none";
    case Choice::kIdentity:
      return "identity";
    case Choice::kWildcard:
      return "* " + std::string(offers[chosen.offer].encoding);
    case Choice::kOffered:
      return std::string(offers[chosen.offer].encoding);
  }
  return "?";
}

TEST(AcceptEncoding, OneOffer) {
  const std::vector<Offer> gzip = {{"gzip"}};
  EXPECT_EQ(choose({}, gzip), "no header");
  EXPECT_EQ(choose("", gzip), "none");
  EXPECT_EQ(choose("gzip", gzip), "gzip");
  EXPECT_EQ(choose("GZip", gzip), "gzip");
  EXPECT_EQ(choose("x-gzip", gzip), "gzip");
  EXPECT_EQ(choose("deflate, gzip;q=0.5", gzip), "gzip");
  EXPECT_EQ(choose("deflate", gzip), "none");
  EXPECT_EQ(choose("gzipped", gzip), "none");
  EXPECT_EQ(choose("gzip;q=0", gzip), "none");
  EXPECT_EQ(choose("gzip;q=0.000", gzip), "none");
  EXPECT_EQ(choose("gzip;q=0.001", gzip), "gzip");
  EXPECT_EQ(choose("identity", gzip), "identity");
  EXPECT_EQ(choose("gzip;q=0.5, identity", gzip), "identity");
  EXPECT_EQ(choose("gzip;q=1, identity;q=0.5", gzip), "gzip");
  EXPECT_EQ(choose("*", gzip), "* gzip");
  EXPECT_EQ(choose("*;q=0", gzip), "none");
  EXPECT_EQ(choose(" , ,\tgzip ; q=0.7 , ", gzip), "gzip");
}

TEST(AcceptEncoding, MalformedWeightsRefuseTheirMember) {
  const std::vector<Offer> gzip = {{"gzip"}};
  for (const char* weight : {"q=", "q=2", "q=1.001", "q=0.1234", "q=-1", "q=.5", "q=abc", "q=1.0000"}) {
    EXPECT_EQ(choose("gzip;" + std::string(weight), gzip), "none") << weight;
  }
  EXPECT_EQ(choose("gzip;Q=1.000", gzip), "gzip");
  EXPECT_EQ(choose("gzip;level=9;q=1", gzip), "gzip");
}

TEST(AcceptEncoding, SeveralOffers) {
  const std::vector<Offer> both = {{"gzip"}, {"br"}};
  EXPECT_EQ(choose("gzip, br", both), "gzip");
  EXPECT_EQ(choose("br, gzip", both), "br");
  EXPECT_EQ(choose("gzip;q=0.5, br;q=0.9", both), "br");
  EXPECT_EQ(choose("gzip, deflate, br, zstd", both), "gzip");
  EXPECT_EQ(choose("zstd, *;q=0.1", both), "* gzip");
  // "*" is what is not named (RFC 9110 12.5.3).
  EXPECT_EQ(choose("gzip;q=0, *", both), "* br");
  EXPECT_EQ(choose("x-gzip;q=0.1, br;q=0, *", both), "gzip");
  EXPECT_EQ(choose("identity;q=0, *;q=0.5", both), "* gzip");
  EXPECT_EQ(choose("identity;q=0", both), "none");
  const std::vector<Offer> brotli_first = {{"gzip"}, {"br", true}};
  EXPECT_EQ(choose("gzip, br", brotli_first), "br");
  EXPECT_EQ(choose("gzip, br;q=0.9", brotli_first), "gzip");
  // Of several that want to be first, the last in the chain is.
  const std::vector<Offer> all_first = {{"gzip", true}, {"br", true}, {"zstd", true}};
  EXPECT_EQ(choose("gzip, br, zstd", all_first), "zstd");
  EXPECT_EQ(choose("zstd, br, gzip", all_first), "zstd");
}

}  // namespace
}  // namespace weir::filters::compressor
