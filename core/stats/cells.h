// Where numbers are counted: every thread has a cell of its own for every counter, written with plain (relaxed) loads
// and stores, and readers add them up. No contention, no lock, no look-up by name on the request path.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

namespace weir::stats {

// A page of cells is allocated for a thread when it first touches one of them.
constexpr uint32_t kCellsPerPage = 512;
constexpr uint32_t kMaxPages = 8192;  // 4 million cells

struct ThreadPages {
  std::atomic<std::atomic<uint64_t>*> pages[kMaxPages];
};
extern constinit thread_local ThreadPages thread_pages;

// Allocates the page for this thread and registers the thread at its first call. When a thread ends, its counts are
// kept: a later thread takes its pages over.
std::atomic<uint64_t>* make_page(uint32_t page);

inline std::atomic<uint64_t>& cell(uint32_t index) {
  std::atomic<uint64_t>* page = thread_pages.pages[index / kCellsPerPage].load(std::memory_order_relaxed);
  if (page == nullptr) [[unlikely]]
    page = make_page(index / kCellsPerPage);
  return page[index % kCellsPerPage];
}

// Reserves `count` adjacent cells, zero on every thread. [main]
uint32_t reserve_cells(uint32_t count);
// Gives them back; the caller knows that no thread uses them any more. [main]
void release_cells(uint32_t first, uint32_t count);
// The sum over all threads, ended ones included. [any]
uint64_t read_cell(uint32_t index);
// The same for adjacent cells, under one lock. [any]
void read_cells(uint32_t first, std::span<uint64_t> sums);
// Calls visit(value) with each thread's value of a cell (0 included for touched pages), under the lock. Used for
// histogram pointers: what a writer stored before it stored the value (release) is visible. [any]
void visit_cell(uint32_t index, void (*visit)(uint64_t value, void* user), void* user);

}  // namespace weir::stats
