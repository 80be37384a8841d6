// What the scheduler of a pool costs a job, without any child: time, and allocations once warm.

#include "harness.hpp"

#include <pool_machine.hpp>

#include <cstdlib>
#include <new>

namespace {

std::size_t allocations = 0;

} // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const room = std::malloc(size)) {
    return room;
  }
  throw std::bad_alloc();
}
void operator delete(void* room) noexcept { std::free(room); }
void operator delete(void* room, std::size_t) noexcept { std::free(room); }

namespace {

using namespace bench;
using subproc::detail::pool_machine;

/// Runs so many jobs, as a driver whose children end in the order of their starts.
void run(pool_machine& machine, int jobs, std::vector<pool_machine::slot>& running,
         subproc::steady_clock::time_point& now) {
  const std::size_t at_once = running.size();
  std::size_t first = 0;
  std::size_t live = 0;
  for (int ended = 0; ended < jobs;) {
    now += std::chrono::microseconds(1);
    for (;;) {
      if (const auto next = machine.take_start(now)) {
        running[(first + live++) % at_once] = *next;
      } else if (live < at_once && machine.wants_command(now)) {
        machine.admitted();
      } else {
        break;
      }
    }
    machine.finished(running[first], subproc::failure_kind::none, std::chrono::milliseconds(1),
                     now);
    first = (first + 1) % at_once;
    --live;
    while (machine.take_deliverable()) {
      ++ended;
    }
  }
  while (live-- > 0) {
    machine.finished(running[first], subproc::failure_kind::none, std::chrono::milliseconds(1),
                     now);
    first = (first + 1) % at_once;
  }
  while (machine.take_deliverable()) {
  }
}

} // namespace

int main() {
  constexpr int jobs = 1'000'000;
  print_machine();
  std::cout << "Jobs: " << jobs << ".\n\n";
  print_header({"at once", "ns a job", "in order: ns a job", "allocations a job, once warm"});
  for (const std::size_t at_once : {1, 8, 1000}) {
    std::vector<std::string> row{std::to_string(at_once)};
    std::size_t made = 0;
    for (const bool ordered : {false, true}) {
      std::vector<double> times;
      for (int round = 0; round < 5; ++round) {
        pool_machine machine({.concurrency = at_once, .keep_order = ordered}, 1);
        std::vector<pool_machine::slot> running(at_once);
        subproc::steady_clock::time_point now(std::chrono::hours(1));
        run(machine, static_cast<int>(at_once) * 20, running, now);
        const std::size_t before = allocations;
        const auto start = now_ns();
        run(machine, jobs, running, now);
        times.push_back(static_cast<double>(now_ns() - start) / jobs);
        made += allocations - before;
      }
      row.push_back(fixed(median(times), 0));
    }
    row.push_back(fixed(static_cast<double>(made) / jobs / 10, 3));
    print_row(row);
  }
  return 0;
}
