#pragma once

#include "item_source.hpp"
#include "item_template.hpp"
#include "options.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fanout {

/// The values of a line of comma-separated values (RFC 4180); nothing when it ends within quotes.
std::optional<row> split_csv(std::string_view line);

/// The rows from which jobs are made: of one source as they come, or each combination of several,
/// the last of which varies fastest.
class job_input {
public:
  using state = item_source::state;

  /// `more` is called, on a thread, after a `later`; `room` is that of a job with no item, for as
  /// many as it has room for. Throws std::system_error.
  job_input(const options& chosen, item_template::measure room, const std::function<void()>& more);

  /// Throws std::system_error when a source could not be read to its end, std::invalid_argument for
  /// what is no CSV.
  state next(row& to);

  /// How many rows there are in all, once that is known.
  std::optional<std::size_t> total() const;

  /// With a header its names, once there was a row.
  const std::vector<std::string>& names() const noexcept { return names_; }

private:
  struct source {
    std::unique_ptr<item_source> items;
    bool linked = false;
    bool headed = false; ///< its header was read
    std::vector<row> rows{};
    std::size_t at = 0;
    std::string open_quotes{}; ///< what came of a CSV record so far
  };

  state next_of(source& from, row& to);
  state gather();
  bool step();
  row columns(source& from, std::string item) const;

  std::vector<source> sources_;
  std::vector<std::string> names_;
  std::string separator_;
  bool csv_;
  bool header_;
  std::size_t batch_;
  bool fill_;
  item_template::measure empty_;
  item_template::measure measure_ = empty_;
  row partial_;
  std::optional<std::string> left_; ///< had no room in the job before
  bool gathered_ = false;
  bool over_ = false;
};

} // namespace fanout
