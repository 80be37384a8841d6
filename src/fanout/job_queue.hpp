#pragma once

#include "job.hpp"
#include "job_commands.hpp"
#include "job_input.hpp"
#include "options.hpp"
#include "records.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace fanout {

/// The jobs to be run, made of the items as they come. What it is made of outlives it.
class job_queue {
public:
  /// `more` is called, on a thread, after a `later`. Throws std::system_error.
  job_queue(const options& chosen, job_commands& commands, const records& recorded,
            const std::function<void()>& more)
      : options_(chosen), commands_(commands), recorded_(recorded),
        input_(chosen, commands.measured(), more) {}

  enum class state { end, later, left_out, ready };
  /// Left out is what is no job, or was run before. Throws as its parts do.
  state next(job& to);

  /// Of the jobs to be run, once that is known.
  std::optional<std::size_t> total() const;

private:
  const options& options_;
  job_commands& commands_;
  const records& recorded_;
  job_input input_;
  std::uint64_t number_ = 0;
  std::size_t left_out_ = 0;
};

} // namespace fanout
