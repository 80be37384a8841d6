#include "ending.hpp"

#include "options.hpp"
#include "reason.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fanout {

int ending::exit_code() const {
  if (reader_left) {
    return 0;
  }
  if (error) {
    return own_error;
  }
  return interrupts != 0 ? 128 + interrupted_by
                         : static_cast<int>(std::min<std::size_t>(failed, 101));
}

std::string ending::note() const {
  if (error) {
    return "fanout gave up: " + words_of(error);
  }
  return interrupts != 0 ? fmt::format("Interrupted by signal {}.", interrupted_by)
         : reader_left   ? "Ended early: nobody read the output any more."
         : halted        ? "Halted by --halt."
                         : "";
}

std::string ending::last_words(bool quiet, bool summary) const {
  if (reader_left) {
    return {};
  }
  if (error) {
    return fmt::format("fanout: {}\n", words_of(error));
  }
  if (interrupts != 0) {
    return quiet ? ""
                 : fmt::format("fanout: interrupted: {} jobs had ended, {} were stopped\n", done,
                               left_at_interrupt);
  }
  if (halted && !quiet) {
    return fmt::format("fanout: halted (--halt): {} jobs had ended, {} were stopped\n", done,
                       stopped);
  }
  const double seconds = elapsed().count();
  return summary ? fmt::format("fanout: {} jobs, {} failed, {:.1f} s, {:.0f} a second\n", done,
                               failed, seconds, static_cast<double>(done) / std::max(seconds, 1e-9))
                 : "";
}

} // namespace fanout
