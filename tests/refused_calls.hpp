#pragma once

// For cases in a process of their own that take system calls away from themselves for real.

#include "own_process.hpp"

#include <cstddef>
#include <cstdlib>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

namespace subproc::test {

/// A system call; with an argument given, only the calls that have it, as their first or another.
struct refusal {
  long call;
  int argument = -1;
  unsigned place = 0;
};

/// From now on each of these calls fails with the error, here and in all children; with 0 it is
/// said to have worked. Threads that are there already keep them.
inline void refuse_from_now_on(const std::vector<refusal>& calls, int error) {
  const auto load = [](std::size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<unsigned>(offset)};
  };
  const auto unless = [](long value, unsigned char skipped) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, skipped, static_cast<unsigned>(value)};
  };
  const auto answer = [](unsigned value) { return sock_filter{BPF_RET | BPF_K, 0, 0, value}; };
  std::vector<sock_filter> filter;
  for (const refusal& refused : calls) {
    const bool any = refused.argument < 0;
    filter.push_back(load(offsetof(seccomp_data, nr)));
    filter.push_back(unless(refused.call, any ? 1 : 3));
    if (!any) {
      filter.push_back(load(offsetof(seccomp_data, args) + 8 * std::size_t{refused.place}));
      filter.push_back(unless(refused.argument, 1));
    }
    filter.push_back(answer(SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
  }
  filter.push_back(answer(SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::_Exit(left_out);
  }
}

} // namespace subproc::test
