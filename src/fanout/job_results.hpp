#pragma once

#include "ending.hpp"
#include "job.hpp"
#include "job_outputs.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "records.hpp"

#include <subproc/pool.hpp>

namespace fanout {

/// Counts the jobs that have ended, and passes on what there is of them: words, output, records.
struct job_results {
  const options& chosen; // all of these outlive it
  ending& counts;
  records& recorded;
  job_outputs& outputs;
  progress& bar;
  output& to;

  void add(const job& of, subproc::pool_result result);
};

} // namespace fanout
