#include "job_results.hpp"

#include "reason.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace fanout {

void job_results::add(const job& of, subproc::pool_result result) {
  const bool stopped = result.why() == subproc::failure_kind::cancelled;
  ++(stopped ? counts.stopped : counts.done);
  counts.failed += result.ok() || stopped ? 0 : 1;
  std::string why = result.ok() ? "" : reason(result);
  if (!why.empty() && result.tries > 1) {
    why += fmt::format(" (try {})", result.tries);
  }
  std::string words;
  if (!why.empty() && !chosen.quiet && counts.interrupts == 0 && !stopped) {
    words = fmt::format("fanout: job {}: {}\n", of.number, why);
  }
  recorded.add({result, of.number, of.slot, of.columns, why}, stopped);
  bar.aside(!words.empty() || outputs.shows(result.process), [&] {
    outputs.pass_on(of, std::move(result.process));
    to.tell(std::move(words));
    bar.job_ended();
    recorded.log();
  });
}

} // namespace fanout
