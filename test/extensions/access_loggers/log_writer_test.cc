#include "core/stream/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "test/extensions/access_loggers/test_log.h"
#include "test/support/count_allocations.h"

namespace weir::stream {
namespace {

using test::read_file;
using test::TemporaryDirectory;

void put(LogFile& file, std::string_view text, uint32_t lane = 1) {
  file.begin_line(lane) += text;
  file.end_line(lane);
}

uint64_t count_lines(const std::string& text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

class LogWriterTest : public testing::Test {
 protected:
  std::shared_ptr<LogFile> open(const std::string& path) {
    auto file = writer_.file(path, store_);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(writer_.open_all().ok());
    return *file;
  }
  uint64_t counter(std::string_view name) { return store_.counter("filesystem." + std::string(name)).value(); }
  // A FIFO, from which read_lines() waits for what is written: files cannot be waited for.
  std::string make_fifo() {
    std::string path = directory_.file("fifo");
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  static std::string read_lines(const std::string& fifo, uint64_t lines) {
    int fd = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    std::string got;
    pollfd ready{fd, POLLIN, 0};
    while (count_lines(got) < lines && poll(&ready, 1, 10'000) == 1) {
      char buffer[65536];
      ssize_t n = read(fd, buffer, sizeof(buffer));
      if (n > 0) got.append(buffer, static_cast<size_t>(n));
    }
    close(fd);
    return got;
  }

  TemporaryDirectory directory_;
  stats::Store store_;
  LogWriter writer_;
};

TEST_F(LogWriterTest, WritesLinesInOrderAndCounts) {
  auto file = open(directory_.file("a.log"));
  put(*file, "one\n");
  put(*file, "two\n");
  EXPECT_EQ(store_.gauge("filesystem.write_total_buffered").value(), 8);
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(directory_.file("a.log")), "one\ntwo\n");
  EXPECT_EQ(counter("write_buffered"), 2u);
  EXPECT_EQ(counter("write_completed"), 1u);
  EXPECT_EQ(store_.gauge("filesystem.write_total_buffered").value(), 0);
}

TEST_F(LogWriterTest, OneObjectPerPath) {
  auto one = open(directory_.file("a.log"));
  auto two = open(directory_.file("a.log"));
  EXPECT_EQ(one, two);
  EXPECT_NE(one, open(directory_.file("b.log")));
}

TEST_F(LogWriterTest, WhatIsLeftIsWrittenWhenTheLastHolderGoes) {
  auto file = open(directory_.file("a.log"));
  put(*file, "last\n");
  file.reset();
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(directory_.file("a.log")), "last\n");
  put(*open(directory_.file("a.log")), "again\n");
  EXPECT_TRUE(writer_.stop(5s));
  EXPECT_EQ(read_file(directory_.file("a.log")), "last\nagain\n");
}

TEST_F(LogWriterTest, TheIntervalEndsTheWait) {
  writer_.set_flush_interval(20ms);
  std::string fifo = make_fifo();
  auto file = open(fifo);
  put(*file, "soon\n");
  EXPECT_EQ(read_lines(fifo, 1), "soon\n");
  EXPECT_GE(counter("flushed_by_timer"), 1u);
}

TEST_F(LogWriterTest, AFullChunkIsWrittenWithoutWaitingForTheInterval) {
  std::string fifo = make_fifo();
  auto file = open(fifo);
  std::string line(999, 'x');
  line += '\n';
  for (int i = 0; i < 70; ++i) put(*file, line);
  EXPECT_GE(count_lines(read_lines(fifo, 60)), 60u);
  EXPECT_EQ(counter("flushed_by_timer"), 0u);
}

TEST_F(LogWriterTest, LongLinesAreWholeAndGiantOnesAreDropped) {
  auto file = open(directory_.file("a.log"));
  std::string lines = "a\n" + std::string(200'000, 'b') + "\n" + "c\n";
  put(*file, "a\n");
  put(*file, std::string(200'000, 'b') + "\n");
  put(*file, "c\n");
  put(*file, std::string(LogFile::kMaxWaitingBytes + 1, 'd'));
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(directory_.file("a.log")), lines);
  EXPECT_EQ(counter("write_dropped"), 1u);
}

TEST_F(LogWriterTest, ReopenGoesOnInANewFile) {
  auto file = open(directory_.file("a.log"));
  put(*file, "before\n");
  std::filesystem::rename(directory_.file("a.log"), directory_.file("a.log.1"));
  writer_.reopen();
  EXPECT_TRUE(writer_.flush(5s));
  put(*file, "after\n");
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(directory_.file("a.log.1")), "before\n");
  EXPECT_EQ(read_file(directory_.file("a.log")), "after\n");
}

TEST_F(LogWriterTest, AFailedReopenKeepsTheOldFile) {
  std::filesystem::create_directory(directory_.file("d"));
  auto file = open(directory_.file("d/a.log"));
  std::filesystem::rename(directory_.file("d"), directory_.file("e"));
  writer_.reopen();
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(counter("reopen_failed"), 1u);
  EXPECT_EQ(*writer_.file(directory_.file("d/a.log"), store_), file);  // a reload goes on with it, too
  put(*file, "kept\n");
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(directory_.file("e/a.log")), "kept\n");
}

TEST_F(LogWriterTest, ErrorsNameThePath) {
  auto error = [&](const std::string& path) { return message_of(writer_.file(path, store_).status()); };
  EXPECT_EQ(error(directory_.file("no/such/a.log")),
            "cannot open " + directory_.file("no/such/a.log") + " for writing: No such file or directory");
  EXPECT_EQ(error(directory_.file("")), "cannot open " + directory_.file("") + " for writing: Is a directory");
  std::ofstream(directory_.file("plain")) << "";
  EXPECT_EQ(error(directory_.file("plain/a.log")),
            "cannot open " + directory_.file("plain/a.log") + " for writing: Not a directory");
  // What asking could not tell.
  std::filesystem::create_directory(directory_.file("d"));
  auto file = writer_.file(directory_.file("d/a.log"), store_);
  ASSERT_TRUE(file.ok());
  std::filesystem::remove(directory_.file("d"));
  EXPECT_EQ(message_of(writer_.open_all()),
            "cannot open " + directory_.file("d/a.log") + " for writing: No such file or directory");
}

TEST_F(LogWriterTest, NothingIsTouchedBeforeOpenAll) {
  std::string path = directory_.file("a.log");
  {
    auto file = writer_.file(path, store_);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(*writer_.file(path, store_), *file);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_TRUE(writer_.flush(Duration::zero()));  // there is no thread to wait for
  }
  // Nobody wants it any more: it never comes to be.
  EXPECT_TRUE(writer_.open_all().ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  auto again = open(path);
  put(*again, "line\n");
  EXPECT_TRUE(writer_.flush(5s));
  EXPECT_EQ(read_file(path), "line\n");
}

// A FIFO that nobody reads: the lane goes on, other files are written, lines are dropped and counted, and once somebody
// reads, what comes is whole lines.
TEST_F(LogWriterTest, AStuckDestinationDropsLinesAndDelaysNobody) {
  std::string fifo = make_fifo();
  auto stuck = open(fifo);
  auto other = open(directory_.file("other.log"));
  for (int i = 0; i < 20'000; ++i) put(*stuck, "line " + std::to_string(1'000'000 + i) + std::string(100, '.') + "\n");
  uint64_t dropped = counter("write_dropped");
  EXPECT_GT(dropped, 5'000u);
  EXPECT_EQ(counter("write_buffered") + dropped, 20'000u);
  put(*other, "written\n");
  EXPECT_FALSE(writer_.flush(200ms));
  EXPECT_EQ(read_file(directory_.file("other.log")), "written\n");

  uint64_t expected = 20'000 - dropped;
  std::string got = read_lines(fifo, expected);
  EXPECT_EQ(count_lines(got), expected);
  EXPECT_TRUE(writer_.flush(5s));
  std::istringstream lines(got);
  std::string line;
  while (std::getline(lines, line)) ASSERT_EQ(line.size(), 112u) << line;
}

TEST_F(LogWriterTest, StopGivesUpOnAStuckDestination) {
  std::string fifo = make_fifo();
  auto stuck = open(fifo);
  for (int i = 0; i < 2'000; ++i) put(*stuck, std::string(100, '.') + "\n");
  EXPECT_FALSE(writer_.stop(100ms));  // returns at all
}

TEST_F(LogWriterTest, SteadyStateNeedsNoHeap) {
  auto file = open(directory_.file("a.log"));
  std::string line(150, 'x');
  line += '\n';
  auto lines = [&](int count) {
    for (int i = 0; i < count; ++i) put(*file, line);
    EXPECT_TRUE(writer_.flush(5s));
  };
  for (int i = 0; i < 20; ++i) lines(400);
  uint64_t own = 0;
  for (int i = 0; i < 20; ++i) {
    uint64_t before = test::allocations;
    for (int j = 0; j < 400; ++j) put(*file, line);
    own += test::allocations - before;
    EXPECT_TRUE(writer_.flush(5s));
  }
  EXPECT_EQ(own, 0u);
  EXPECT_EQ(counter("write_dropped"), 0u);
}

// Lines of several lanes come out whole, each lane's in order, while holders come and go and the file is rotated.
TEST_F(LogWriterTest, LanesAtOnce) {
  writer_.set_flush_interval(1ms);
  auto file = open(directory_.file("a.log"));
  constexpr int kLanes = 4, kLines = 20'000;
  std::vector<std::thread> threads;
  for (uint32_t lane = 1; lane <= kLanes; ++lane) {
    threads.emplace_back([&, lane] {
      for (int i = 0; i < kLines; ++i) put(*file, std::to_string(lane) + " " + std::to_string(i) + "\n", lane);
    });
  }
  for (int i = 0; i < 10; ++i) {
    put(*open(directory_.file("b.log")), "b\n", 0);
    writer_.reopen();
    EXPECT_TRUE(writer_.flush(5s));
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(writer_.stop(5s));
  std::istringstream lines(read_file(directory_.file("a.log")));
  std::map<int, int> next;
  int lane, number;
  uint64_t read = 0;
  while (lines >> lane >> number) {
    ASSERT_GE(number, next[lane]);  // more than next only if lines were dropped
    next[lane] = number + 1;
    ++read;
  }
  EXPECT_EQ(read + counter("write_dropped"), uint64_t{kLanes} * kLines);
  EXPECT_EQ(count_lines(read_file(directory_.file("b.log"))), 10u);
}

// Standard output is a pipe that the process shares with others: no option of it is changed.
TEST_F(LogWriterTest, StandardOutputIsWrittenToAndLeftAsItIs) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  int saved = dup(1);
  fflush(stdout);
  dup2(pipe_ends[1], 1);
  auto file = open("/dev/stdout");
  std::string line(79, 's');
  line += '\n';
  std::thread reader;
  std::string got;
  for (int i = 0; i < 2'000; ++i) put(*file, line);
  reader = std::thread([&] {
    char buffer[4096];
    ssize_t n;
    while (got.size() < 160'000 && (n = read(pipe_ends[0], buffer, sizeof(buffer))) > 0)
      got.append(buffer, static_cast<size_t>(n));
  });
  bool flushed = writer_.flush(5s);
  int flags = fcntl(1, F_GETFL);
  dup2(saved, 1);
  close(saved);
  close(pipe_ends[1]);
  reader.join();
  close(pipe_ends[0]);
  EXPECT_TRUE(flushed);
  EXPECT_EQ(flags & O_NONBLOCK, 0);
  EXPECT_EQ(got.size(), 160'000u);
}

// Lines are on disk when a process has ended by exit() without saying goodbye to the writer.
TEST(LogWriterProcess, ExitWritesWhatIsLeft) {
  TemporaryDirectory directory;
  std::string path = directory.file("a.log");
  EXPECT_EXIT(
      {
        stats::Store& store = *new stats::Store;
        auto file = LogWriter::process().file(path, store);
        if (!LogWriter::process().open_all().ok()) exit(1);
        put(**file, "goodbye\n");
        exit(0);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(read_file(path), "goodbye\n");
}

}  // namespace
}  // namespace weir::stream
