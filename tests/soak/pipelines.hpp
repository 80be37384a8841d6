#pragma once

#include <subproc/pipeline.hpp>

#include "ways.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace soak {

/// A pipeline of two to four children, in a way that chance decides.
class pipelines {
public:
  explicit pipelines(dice& chosen) : dice_(chosen) {}

  /// How many children there were.
  std::size_t one() {
    const std::size_t stages = 2 + dice_.below(3);
    switch (dice_.below(8)) {
    case 0:
      failed(stages);
      break;
    case 1:
      missing(stages);
      break;
    case 2:
      timed_out(stages);
      break;
    case 3:
      cancelled(stages);
      break;
    default:
      passed(stages);
    }
    return stages;
  }

private:
  using pipeline = subproc::pipeline;

  static void append(pipeline& to, std::size_t count, const subproc::command& stage) {
    for (; count > 0; --count) {
      to |= stage;
    }
  }

  // Blocking or on a loop; throws what it ends with.
  subproc::pipeline_result run(const pipeline& what) {
    if (dice_.chance()) {
      return subproc::run(what);
    }
    asio::io_context context;
    std::exception_ptr error;
    subproc::pipeline_result result;
    async_run(context, what, [&](std::exception_ptr why, subproc::pipeline_result got) {
      error = std::move(why);
      result = std::move(got);
    });
    context.run();
    if (error) {
      std::rethrow_exception(error);
    }
    return result;
  }

  void passed(std::size_t stages) {
    const std::string text = dice_.text();
    pipeline what = steps({"echo"}).input(text);
    if (dice_.below(4) == 0) {
      what |= subproc::filter([](std::string_view bytes) { return std::string(bytes); });
    }
    append(what, stages - 1, steps({"echo"}));
    require(run(what.capture_output()).out() == text, "the bytes of a pipeline");
  }

  void failed(std::size_t stages) {
    pipeline what = steps({"zeros:100000"});
    append(what, stages - 2, steps({"echo"}));
    what |= steps({"exit:7"});
    const auto done = run(what.policy(subproc::pipeline_policy::pipefail));
    require(done.failed == stages - 1, "the stage of a pipeline that failed");
  }

  void missing(std::size_t stages) {
    pipeline what = steps({"yes"});
    append(what, stages - 2, steps({"echo"}));
    what |= subproc::command("/no/such/program");
    try {
      run(what);
    } catch (const subproc::pipeline_spawn_error& error) {
      require(error.stage() == stages - 1, "the stage of a missing program");
      return;
    }
    require(false, "a missing program was started in a pipeline");
  }

  void timed_out(std::size_t stages) {
    pipeline what = subproc::command(subproc::test::helper("forever"));
    append(what, stages - 1, steps({"echo"}));
    try {
      run(what.timeout(std::chrono::milliseconds(1)));
    } catch (const subproc::pipeline_timeout&) {
      return;
    }
    require(false, "no time-out of a pipeline");
  }

  void cancelled(std::size_t stages) {
    asio::io_context context;
    asio::cancellation_signal signal;
    pipeline what = steps({"yes"});
    append(what, stages - 1, steps({"echo"}));
    bool called = false;
    async_run(context, what.capture_output(),
              asio::bind_cancellation_slot(
                  signal.slot(), [&](const std::exception_ptr&, const subproc::pipeline_result&) {
                    called = true;
                  }));
    if (dice_.chance()) {
      context.poll();
    }
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    require(called, "async_run of a pipeline cancelled");
  }

  dice& dice_;
};

} // namespace soak
