// Real directories and inotify, fake time: events arrive at once, what waits for them moves by hand.
#include "core/event/file_watcher.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "test/support/test_lane.h"

namespace weir::event {
namespace {

namespace fs = std::filesystem;

class FileWatcherTest : public testing::Test {
 protected:
  FileWatcherTest() {
    char name[] = "/tmp/weir-watch-XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directory(root_ / "a");
  }
  ~FileWatcherTest() override { fs::remove_all(root_); }

  void write(const fs::path& path, const std::string& text) { std::ofstream(root_ / path) << text; }
  // Lets events arrive, then lets the time pass that the watcher waits for more of them.
  void settle() {
    lane_.turns(3);
    lane_.advance(FileWatcher::kSettle);
  }

  fs::path root_;
  test::TestLane lane_{0};
  int changes_ = 0;
  FileWatcher watcher_{lane_, [this] { ++changes_; }};
};

TEST_F(FileWatcherTest, ANewDirectoryCountsAsChangedOnce) {
  watcher_.watch({root_ / "a"});
  settle();
  EXPECT_EQ(changes_, 1);
  watcher_.watch({root_ / "a"});
  settle();
  EXPECT_EQ(changes_, 1);
}

TEST_F(FileWatcherTest, ARenameIntoTheDirectoryIsAChange) {
  write("next", "1");
  watcher_.watch({root_ / "a"});
  settle();
  fs::rename(root_ / "next", root_ / "a" / "cert.pem");
  settle();
  EXPECT_EQ(changes_, 2);
  settle();
  EXPECT_EQ(changes_, 2);
}

// As the kubelet does it: the files are links through ..data, and ..data is replaced by a rename.
TEST_F(FileWatcherTest, ASwappedLinkIsAChange) {
  fs::create_directory(root_ / "a" / "..v1");
  fs::create_directory(root_ / "a" / "..v2");
  fs::create_symlink("..v1", root_ / "a" / "..data");
  watcher_.watch({root_ / "a"});
  settle();
  fs::create_symlink("..v2", root_ / "a" / "..tmp");
  fs::rename(root_ / "a" / "..tmp", root_ / "a" / "..data");
  settle();
  EXPECT_EQ(changes_, 2);
}

TEST_F(FileWatcherTest, EventsThatFollowEachOtherAreOneChange) {
  watcher_.watch({root_ / "a"});
  settle();
  for (int i = 0; i < 5; ++i) {
    write("a/file", std::to_string(i));
    lane_.turns(3);
    lane_.advance(FileWatcher::kSettle / 2);
  }
  EXPECT_EQ(changes_, 1);
  settle();
  EXPECT_EQ(changes_, 2);
}

TEST_F(FileWatcherTest, EventsWithoutEndDoNotPutTheChangeOffForEver) {
  watcher_.watch({root_ / "a"});
  settle();
  Duration waited{};
  while (changes_ == 1) {
    ASSERT_LE(waited, FileWatcher::kPatience + FileWatcher::kSettle);
    write("a/file", std::to_string(waited.count()));
    lane_.turns(3);
    lane_.advance(FileWatcher::kSettle / 2);
    waited += FileWatcher::kSettle / 2;
  }
  EXPECT_EQ(changes_, 2);
}

// Which may well have the same inode number.
TEST_F(FileWatcherTest, ADirectoryThatIsMadeAnewIsWatchedOn) {
  watcher_.watch({root_ / "a"});
  settle();
  for (int round = 0; round < 3; ++round) {
    fs::remove_all(root_ / "a");
    fs::create_directory(root_ / "a");
    settle();
    settle();
    const int before = changes_;
    write("a/cert.pem", std::to_string(round));
    settle();
    EXPECT_GT(changes_, before) << round;
  }
}

TEST_F(FileWatcherTest, OtherDirectoriesAreNotWatched) {
  fs::create_directory(root_ / "b");
  watcher_.watch({root_ / "a", root_ / "b"});
  settle();
  watcher_.watch({root_ / "a"});
  EXPECT_EQ(watcher_.watching(), 1u);
  write("b/file", "1");
  settle();
  EXPECT_EQ(changes_, 1);
}

TEST_F(FileWatcherTest, ADirectoryThatComesLaterOrComesBackIsWatchedThen) {
  watcher_.watch({root_ / "later"});
  settle();
  EXPECT_EQ(changes_, 0);
  fs::create_directory(root_ / "later");
  lane_.advance(FileWatcher::kRetry);
  settle();
  EXPECT_EQ(changes_, 1);

  // Replaced as a whole: the name is another directory now.
  fs::rename(root_ / "later", root_ / "old");
  fs::create_directory(root_ / "later");
  settle();
  settle();
  int before = changes_;
  write("later/file", "1");
  settle();
  EXPECT_EQ(changes_, before + 1);
}

}  // namespace
}  // namespace weir::event
