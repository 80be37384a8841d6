#pragma once

#include "job.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"

#include <subproc/command.hpp>
#include <subproc/result.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <vector>

namespace fanout {

/// Where what the jobs write goes, and how much of it is kept. What it is made of outlives it.
class job_outputs {
public:
  job_outputs(const asio::any_io_executor& executor, const options& chosen, output& to,
              progress& bar);

  /// Throws std::system_error.
  void redirect(subproc::command& cmd, job& of);

  /// `to` has room again.
  void resume();

  /// Whether a terminal shows some of this.
  bool shows(const subproc::completed_process& done) const;

  /// Of a job that has ended: what was not passed on as it came.
  void pass_on(const job& of, subproc::completed_process done);

private:
  bool by_line() const { return options_.by_line && options_.json != "-"; }
  std::shared_ptr<line_stream> stream_to(int descriptor, const job& of);

  asio::any_io_executor executor_;
  const options& options_;
  output& to_;
  progress& bar_;
  bool stdout_shows_;
  std::vector<std::shared_ptr<line_stream>> held_{}; ///< until there is room for what they read
};

} // namespace fanout
