#include "core/http/header_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/http/chars.h"

namespace weir::http {
namespace {

TEST(Names, EveryNameIsFoundInAnyCase) {
  std::set<std::string> seen;
  for (size_t i = 0; i < kHeaderIdCount; ++i) {
    auto id = static_cast<HeaderId>(i);
    std::string name(name_of(id));
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_EQ(find_header_id(name), id) << name;
    EXPECT_EQ(find_header_id_folded(name), id) << name;
    std::string upper = name;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(find_header_id_folded(upper), id) << upper;
    EXPECT_EQ(find_header_id(upper), HeaderId::kNone) << upper;
    // No byte of a name may be changed, dropped or added, not even one that differs by the bit of the case.
    for (size_t at = 0; at < name.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string wrong = name;
        wrong[at] = static_cast<char>(wrong[at] ^ (1 << bit));
        if (equals_ignoring_case(wrong, name)) continue;
        ASSERT_NE(find_header_id_folded(wrong), id) << name << " at " << at << " bit " << bit;
        ASSERT_NE(find_header_id(wrong), id);
      }
    }
    EXPECT_NE(find_header_id_folded(name + "x"), id);
    EXPECT_NE(find_header_id_folded(name.substr(0, name.size() - 1)), id);
  }
  EXPECT_EQ(find_header_id(""), HeaderId::kNone);
  EXPECT_EQ(find_header_id_folded("x"), HeaderId::kNone);
}

TEST(Names, SpotChecks) {
  EXPECT_EQ(name_of(HeaderId::kMethod), ":method");
  EXPECT_EQ(name_of(HeaderId::kTe), "te");
  EXPECT_EQ(name_of(HeaderId::kWwwAuthenticate), "www-authenticate");
  EXPECT_EQ(name_of(HeaderId::kHttp2Settings), "http2-settings");
  EXPECT_EQ(name_of(HeaderId::kXB3Sampled), "x-b3-sampled");
  EXPECT_EQ(name_of(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse), "x-envoy-upstream-rq-timeout-alt-response");
  EXPECT_EQ(name_of(HeaderId::kXXssProtection), "x-xss-protection");
}

TEST(Names, HeaderNameFolds) {
  HeaderName known("Content-Type");
  EXPECT_EQ(known.id(), HeaderId::kContentType);
  EXPECT_EQ(known.text(), "content-type");
  HeaderName own("X-My-Name");
  EXPECT_EQ(own.id(), HeaderId::kNone);
  EXPECT_EQ(own.text(), "x-my-name");
  EXPECT_TRUE(known == HeaderName(HeaderId::kContentType));
  EXPECT_FALSE(known == own);
}

class HeaderMapTest : public testing::Test {
 protected:
  ArenaPool pool_;
  Arena arena_{pool_};
  HeaderMap map_{arena_};
};

TEST_F(HeaderMapTest, AbsentAndEmptyDiffer) {
  EXPECT_EQ(map_.get(HeaderId::kAccept).data(), nullptr);
  map_.add(HeaderId::kAccept, "");
  EXPECT_NE(map_.get(HeaderId::kAccept).data(), nullptr);
  EXPECT_TRUE(map_.contains(HeaderId::kAccept));
  map_.add_copy("X-Empty", "");
  EXPECT_TRUE(map_.contains(HeaderName("x-empty")));
  EXPECT_FALSE(map_.contains(HeaderName("x-other")));
}

TEST_F(HeaderMapTest, StatusCode) {
  EXPECT_EQ(map_.status_code(), 0);
  map_.add(HeaderId::kStatus, "404");
  EXPECT_EQ(map_.status_code(), 404);
  map_.set(HeaderId::kStatus, "4x4");
  EXPECT_EQ(map_.status_code(), 0);
  map_.set(HeaderId::kStatus, "2000");
  EXPECT_EQ(map_.status_code(), 0);
}

TEST_F(HeaderMapTest, JoinsAndAppends) {
  HeaderName via(HeaderId::kVia);
  EXPECT_EQ(map_.get_all(via, arena_).data(), nullptr);
  map_.add(HeaderId::kVia, "a");
  EXPECT_EQ(map_.get_all(via, arena_), "a");
  map_.add(HeaderId::kAccept, "x");
  map_.add(HeaderId::kVia, "");
  map_.add(HeaderId::kVia, "b");
  EXPECT_EQ(map_.get_all(via, arena_), "a,,b");
  EXPECT_EQ(map_.count(via), 3u);
  map_.append_value(via, "c", ", ");
  EXPECT_EQ(map_.get(via), "a, c");
  HeaderName own("x-own");
  map_.append_value(own, "1");
  map_.append_value(own, "2");
  EXPECT_EQ(map_.get(own), "1,2");
}

TEST_F(HeaderMapTest, ReplaceFirstKeepsItsPlace) {
  map_.add(HeaderId::kMethod, "GET");
  map_.add(HeaderId::kAuthority, "");
  map_.add(HeaderId::kPath, "/");
  map_.replace_first(HeaderId::kAuthority, "a");
  EXPECT_EQ(map_.to_string(), ":method: GET\n:authority: a\n:path: /\n");
}

TEST_F(HeaderMapTest, NamesThatComeAndGoDoNotGrowTheMap) {
  for (int i = 0; i < 10000; ++i) {
    map_.add(HeaderId::kVia, "x");
    map_.remove(HeaderId::kVia);
  }
  EXPECT_TRUE(map_.empty());
  EXPECT_EQ(arena_.overflow_bytes(), 0u);
}

// Against a vector of pairs, over more entries than first_ can index.
TEST_F(HeaderMapTest, BehavesLikeAVector) {
  using Model = std::vector<std::pair<std::string, std::string>>;
  std::vector<HeaderName> names;
  for (const char* name : {":path", "accept", "via", "cookie", "x-request-id", "x-own-1", "x-own-2", "y-own-1", "te"})
    names.emplace_back(std::string_view(name));
  uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    map_.clear();
    arena_.reset();
    Model model;
    // Some rounds mostly add, so that entries beyond 254 are met.
    const unsigned kinds = round % 2 == 0 ? 9 : 40;
    for (int step = 0; step < 600; ++step) {
      const HeaderName& name = names[random() % names.size()];
      std::string text(name.text());
      std::string value = "v" + std::to_string(random() % 1000);
      auto is_name = [&](const auto& entry) { return entry.first == text; };
      switch (unsigned kind = random() % kinds; kind) {
        case 0: {
          size_t gone = std::erase_if(model, is_name);
          ASSERT_EQ(map_.remove(name), gone);
          break;
        }
        case 1: {
          map_.set_copy(name, value);
          auto first = std::find_if(model.begin(), model.end(), is_name);
          if (first == model.end()) {
            model.emplace_back(text, value);
          } else {
            first->second = value;
            model.erase(std::remove_if(first + 1, model.end(), is_name), model.end());
          }
          break;
        }
        case 2: {
          std::string doomed = "v" + std::to_string(random() % 10);
          size_t gone = std::erase_if(model, [&](const auto& entry) { return entry.second.starts_with(doomed); });
          ASSERT_EQ(map_.remove_if([&](const HeaderEntry& entry) { return entry.value().starts_with(doomed); }), gone);
          break;
        }
        case 3: {
          map_.append_value(name, value);
          auto first = std::find_if(model.begin(), model.end(), is_name);
          if (first == model.end())
            model.emplace_back(text, value);
          else
            first->second += "," + value;
          break;
        }
        default:
          if (kind % 2 == 0 || name.id() == HeaderId::kNone)
            map_.add_copy(text, value);
          else
            map_.add_copy(name.id(), value);
          model.emplace_back(text, value);
      }
      ASSERT_EQ(map_.size(), model.size());
      for (const HeaderName& any : names) {
        auto first =
            std::find_if(model.begin(), model.end(), [&](const auto& entry) { return entry.first == any.text(); });
        ASSERT_EQ(map_.contains(any), first != model.end());
        ASSERT_EQ(map_.get(any), first != model.end() ? std::string_view(first->second) : std::string_view());
      }
    }
    std::string expected;
    size_t bytes = 0;
    for (const auto& [key, value] : model) {
      expected += key + ": " + value + "\n";
      bytes += key.size() + value.size();
    }
    ASSERT_EQ(map_.to_string(), expected);
    ASSERT_EQ(map_.byte_size(), bytes);
    for (const HeaderName& any : names) {
      ASSERT_EQ(map_.count(any), static_cast<size_t>(std::count_if(model.begin(), model.end(), [&](const auto& entry) {
                  return entry.first == any.text();
                })));
    }
    Arena other_arena(pool_);
    HeaderMap copy(other_arena);
    map_.copy_to(copy);
    HeaderMap views(other_arena);
    map_.copy_views_to(views);
    ASSERT_EQ(views.to_string(), expected);
    map_.clear();
    arena_.reset();
    ASSERT_EQ(copy.to_string(), expected);
  }
}

}  // namespace
}  // namespace weir::http
