#include "pipeline_operation.hpp"

#include "check.hpp"
#include "pipe_between.hpp"
#include "redirects.hpp"

#include <asio/io_context.hpp>

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

[[noreturn]] void refuse_stage(const pipeline& what, std::size_t stage, const char* option,
                               const std::string& why) {
  throw pipeline_spawn_error(
      {detail::generic_error(std::errc::invalid_argument), spawn_step::arguments, option, why},
      what, stage);
}

void check_stage(const pipeline& what, std::size_t i) {
  const command& cmd = what.stages()[i];
  if (i != 0 && (cmd.in() || cmd.input())) {
    refuse_stage(what, i, cmd.in() ? "in" : "input", "its stdin is the stage before it");
  }
  if (i + 1 != what.stages().size() && (cmd.out() || cmd.captures_output())) {
    refuse_stage(what, i, cmd.out() ? "out" : "capture_output",
                 "its stdout is the stage after it, say it of the last stage, or err of this one");
  }
  if (cmd.checked()) {
    refuse_stage(what, i, "check", "say it of the pipeline, whose policy tells who counts");
  }
}

// An error of one stage, as one of the pipeline.
std::exception_ptr of_stage(const std::exception_ptr& error, const pipeline& what, std::size_t i) {
  try {
    std::rethrow_exception(error);
  } catch (const spawn_error& why) {
    return std::make_exception_ptr(pipeline_spawn_error(why, what, i));
  } catch (...) { // a hook's own
    return error;
  }
}

// Kills and reaps those that run. The first is left to who waits for its launch.
void undo(const std::vector<core_ptr>& cores, std::size_t started) noexcept {
  for (std::size_t i = started; i-- > 0;) {
    error_code ignored;
    cores[i]->stop({kill_step()}, ignored);
  }
  for (std::size_t i = 1; i < cores.size(); ++i) {
    cores[i]->drop();
  }
}

pipe_between pipe_after(process_core& core) {
  try {
    return make_pipe_between(core.get_command().pipe_size());
  } catch (...) {
    core.not_launched(std::current_exception());
    throw;
  }
}

// All or none. An end of a pipe is closed here as soon as its child has it. `signals`: those of the
// thread that asked, when this is another.
void start_stages(const std::vector<core_ptr>& cores, const pipeline& what,
                  const caller_signals* signals) {
  unique_handle from_before;
  bool filtered = false;
  std::size_t i = 0;
  try {
    for (; i < cores.size(); ++i) {
      process_core& core = *cores[i];
      command as = core.get_command();
      pipe_between next;
      if (filtered) {
        as.in(piped);
      } else if (from_before) {
        as.in(fd(from_before.get()));
      }
      filtered = !what.filters(i + 1).empty();
      if (filtered) {
        as.out(piped);
      } else if (i + 1 != cores.size()) {
        next = pipe_after(core);
        as.out(fd(next.write_end.get()));
      }
      if (signals && as.signals() == signal_setup::keep) {
        signals->run([&] { core.launch_announced(as); });
      } else {
        core.launch_announced(as);
      }
      from_before = std::move(next.read_end);
    }
  } catch (...) {
    const std::exception_ptr error = of_stage(std::current_exception(), what, i);
    for (std::size_t other = i + 1; other < cores.size(); ++other) {
      cores[other]->not_launched();
    }
    undo(cores, i);
    std::rethrow_exception(error);
  }
}

error_code code_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const operation_error& failure) {
    return failure.code();
  } catch (...) {
    return asio::error::timed_out;
  }
}

bool failed_by_itself(const std::exception_ptr& error) {
  return error && code_of(error) != asio::error::operation_aborted;
}

} // namespace

std::vector<command> stage_commands(const pipeline& what) {
  if (what.stages().empty()) {
    refuse("args", "the pipeline is empty, give at least one command");
  }
  if (!what.filters(0).empty() || !what.filters(what.stages().size()).empty()) {
    refuse("filter", "a filter has to stand between two commands");
  }
  std::vector<command> commands = what.stages();
  for (std::size_t i = 0; i < commands.size(); ++i) {
    check_stage(what, i);
    command& cmd = commands[i];
    if (what.captures_output() && !cmd.captures_output()) {
      if (i + 1 == commands.size() && !cmd.out()) {
        cmd.out(piped);
      }
      if (!cmd.err()) {
        cmd.err(piped);
      }
    }
    if (what.has_own_groups() && !cmd.process_group() && !cmd.has_new_session()) {
      cmd.process_group(0);
    }
    if (what.stop_steps() && !cmd.stop_steps()) {
      cmd.stop_steps(*what.stop_steps());
    }
    if (what.has_cancel_signals()) {
      cmd.cancel_signals();
    }
  }
  return commands;
}

pipeline_operation::pipeline_operation(const asio::any_io_executor& executor, pipeline&& what,
                                       pipeline_handler handler)
    : executor_(executor), what_(std::move(what)), handler_(std::move(handler)) {}

// All that may refuse it, before anything is started.
void pipeline_operation::announce() {
  for (command& cmd : stage_commands(what_)) {
    stages_.emplace_back().core = std::make_shared<process_core>(executor_, std::move(cmd));
  }
  std::size_t i = 0;
  try {
    for (; i < stages_.size(); ++i) {
      stages_[i].core->announce();
    }
  } catch (...) {
    const std::exception_ptr error = of_stage(std::current_exception(), what_, i);
    while (i-- > 0) {
      stages_[i].core->not_launched();
    }
    std::rethrow_exception(error);
  }
}

void pipeline_operation::start_here() {
  announce();
  std::vector<core_ptr> cores;
  for (const stage& each : stages_) {
    cores.push_back(each.core);
  }
  start_stages(cores, what_, nullptr);
  launched(nullptr);
}

void pipeline_operation::start(asio::cancellation_slot slot) {
  try {
    announce();
  } catch (...) {
    handler_.complete(std::current_exception(), {});
    return;
  }
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
      const auto self = weak.lock();
      if (self && type != asio::cancellation_type::none) {
        self->cancel(type);
      }
    });
  }
  // It owns nothing of the loop's, which may go before a launcher thread has come to this.
  struct launch {
    std::vector<core_ptr> cores;
    pipeline what;
    caller_signals signals;
  };
  const auto job = std::make_shared<launch>();
  for (const stage& each : stages_) {
    job->cores.push_back(each.core);
  }
  job->what = what_;
  job->cores.front()->async_launch_by(
      [job](bool go) {
        if (go) {
          start_stages(job->cores, job->what, &job->signals);
          return;
        }
        for (const core_ptr& core : job->cores) {
          core->not_launched();
        }
      },
      {[self = shared_from_this()](std::exception_ptr error, const core_ptr&) {
         self->launched(std::move(error));
       },
       executor_});
}

void pipeline_operation::launched(std::exception_ptr error) {
  lock held(mutex_);
  launched_ = true;
  if (error) {
    pipeline_result nothing;
    nothing.what = what_;
    nothing.cancelled = cancelled_;
    if (cancelled_) {
      error = std::make_exception_ptr(pipeline_aborted(asio::error::operation_aborted, nothing, 0));
    }
    held.unlock();
    for (const stage& each : stages_) {
      each.core->drop();
    }
    handler_.complete(std::move(error), std::move(nothing));
    return;
  }
  start_relays();
  for (std::size_t i = stages_.size(); i-- > 0;) {
    const auto run = std::make_shared<run_operation>(
        executor_, run_kind::run,
        run_handler(
            [self = shared_from_this(), i](std::exception_ptr failure, completed_process result) {
              self->ended(i, std::move(failure), std::move(result));
            },
            executor_));
    stages_[i].run = run;
    ++pending_;
    run->go_on(stages_[i].core, std::min(deadline_of(i), run_deadline(*stages_[i].core)),
               [self = shared_from_this(), i] {
                 asio::post(self->executor_, [self, i] { self->failed(i); });
               });
    for (const asio::cancellation_type type : early_) {
      run->cancel(type);
    }
  }
}

// By a stage's own clock, when it has another than the first.
steady_clock::time_point pipeline_operation::started(const process_core& core) const {
  const process_core& first = *stages_.front().core;
  return (core.clock() == first.clock() ? first : core).started();
}

steady_clock::time_point pipeline_operation::deadline(const process_core& core) const {
  constexpr auto never = steady_clock::time_point::max();
  return std::min(what_.timeout() ? what_.timeout()->after(started(core)) : never,
                  what_.deadline().value_or(never));
}

// Stops begin with the last stage: a reader must not take the end of a writer that was stopped for
// the end of its input. So timers are set a nanosecond apart.
steady_clock::time_point pipeline_operation::deadline_of(std::size_t which) const {
  const steady_clock::time_point all = deadline(*stages_[which].core);
  return all == steady_clock::time_point::max()
             ? all
             : all + std::chrono::nanoseconds(stages_.size() - 1 - which);
}

// With the mutex held, before the runs: the pipes are not theirs.
void pipeline_operation::start_relays() {
  for (std::size_t after = 1; after < stages_.size(); ++after) {
    std::vector<filter::function> functions;
    for (const filter& each : what_.filters(after)) {
      functions.push_back(each.call());
    }
    if (functions.empty()) {
      continue;
    }
    const auto between = std::make_shared<relay>(
        executor_, stages_[after - 1].core->release_stream(stream_id::out),
        stages_[after].core->release_stream(stream_id::in), std::move(functions),
        [self = shared_from_this()](const std::exception_ptr& error) { self->relay_ended(error); });
    relays_.push_back(between);
    ++relays_going_;
    between->start();
  }
}

void pipeline_operation::relay_ended(const std::exception_ptr& error) {
  lock held(mutex_);
  --relays_going_;
  if (error && !filter_error_) {
    filter_error_ = error;
    stop_all();
  }
  check_end(std::move(held));
}

void pipeline_operation::cancel(asio::cancellation_type type) {
  const lock held(mutex_);
  const bool again = std::exchange(cancelled_, true);
  if (!launched_) {
    early_.push_back(type);
    stages_.front().core->cancel_run();
    return;
  }
  for (std::size_t i = stages_.size(); pending_ != 0 && i-- > 0;) {
    if (const auto run = stages_[i].ended ? nullptr : stages_[i].run.lock()) {
      run->cancel(type);
    } else if (stages_[i].ended) {
      stop_late(i, way_to_cancel(stages_[i].core->get_command(), type, again));
    }
  }
}

void pipeline_operation::failed(std::size_t which) {
  const lock held(mutex_);
  if (pending_ != 0) {
    first_failed_ = first_failed_.value_or(which);
    stop_all();
  }
}

// As at the time-out of each.
void pipeline_operation::stop_all() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  for (std::size_t i = stages_.size(); i-- > 0;) {
    if (stages_[i].ended) {
      stop_late(i, way_of_timeout(stages_[i].core->get_command()));
    } else if (const auto run = stages_[i].run.lock()) {
      run->stop_as_told();
    }
  }
}

// What an ended stage has left behind, where it led a group.
void pipeline_operation::stop_late(std::size_t which, way_to_stop way) {
  stage& left = stages_[which];
  if (scope_of(left.core->get_command()) == scope::process || way.how <= left.late) {
    return;
  }
  left.late = way.how;
  if (left.late_stop_pending) {
    left.core->escalate_stop(std::move(way.steps));
    return;
  }
  left.late_stop_pending = true;
  ++pending_;
  left.core->async_stop(std::move(way.steps), {},
                        {[self = shared_from_this(), which](error_code, const stop_result&) {
                           self->late_stop_ended(which);
                         },
                         executor_});
}

void pipeline_operation::late_stop_ended(std::size_t which) {
  lock held(mutex_);
  stages_[which].late_stop_pending = false;
  --pending_;
  check_end(std::move(held));
}

void pipeline_operation::ended(std::size_t which, std::exception_ptr error,
                               completed_process result) {
  lock held(mutex_);
  stage& one = stages_[which];
  one.ended = true;
  one.error = std::move(error);
  one.result = std::move(result);
  if (failed_by_itself(one.error)) {
    first_failed_ = first_failed_.value_or(which);
    stop_all();
  } else if (stopping_) {
    stop_late(which, way_of_timeout(one.core->get_command()));
  }
  --pending_;
  check_end(std::move(held));
}

void pipeline_operation::check_end(lock held) {
  if (pending_ == 0 && relays_going_ != 0) {
    for (const auto& each : relays_) {
      if (const auto between = each.lock()) {
        between->stop();
      }
    }
  }
  if (pending_ != 0 || relays_going_ != 0) {
    return;
  }
  pipeline_result result = take_result();
  held.unlock(); // for the user's judge; nothing more can come
  std::exception_ptr error;
  try {
    error = judge(result);
  } catch (...) {
    error = std::current_exception();
  }
  for (const stage& each : stages_) {
    each.core->drop(); // off the loop, before the caller can know that it may go
  }
  handler_.complete(std::move(error), std::move(result));
}

pipeline_result pipeline_operation::take_result() {
  pipeline_result result;
  result.what = what_;
  const steady_clock::time_point started = stages_.front().core->started();
  bool any_cancelled = false;
  for (stage& each : stages_) {
    result.timed_out = result.timed_out || each.result.timed_out;
    any_cancelled = any_cancelled || each.result.cancelled;
    result.elapsed = std::max(result.elapsed, each.core->started() - started + each.result.elapsed);
    result.stages.push_back(std::move(each.result));
  }
  result.cancelled = cancelled_ && any_cancelled;
  return result;
}

std::exception_ptr pipeline_operation::judge(pipeline_result& result) {
  result.status = result.stages.back().status;
  result.failed = what_.blame(result.stages);
  if (result.failed) {
    result.status = result.stages[*result.failed].status;
  }
  if (first_failed_) {
    const std::size_t which = *first_failed_;
    if (result.stages[which].timed_out) {
      return std::make_exception_ptr(
          pipeline_timeout(result, which, seconds_of(which, result.stages[which].inactive)));
    }
    return std::make_exception_ptr(pipeline_aborted(code_of(stages_[which].error), result, which));
  }
  if (filter_error_) {
    return filter_error_;
  }
  if (result.cancelled) {
    return std::make_exception_ptr(
        pipeline_aborted(asio::error::operation_aborted, result, result.stages.size() - 1));
  }
  if (what_.checked() && result.failed) {
    return std::make_exception_ptr(pipeline_failed(result));
  }
  return nullptr;
}

// As the caller gave it: the stage's own bound, or the pipeline's.
double pipeline_operation::seconds_of(std::size_t which, bool inactive) const {
  const process_core& core = *stages_[which].core;
  if (inactive || run_deadline(core) < deadline(core)) {
    try {
      std::rethrow_exception(stages_[which].error);
    } catch (const timeout_expired& error) {
      return error.timeout();
    } catch (...) {
      return 0;
    }
  }
  const steady_clock::time_point from = started(core);
  return what_.timeout().value_or(std::max(what_.deadline().value_or(from), from) - from).seconds();
}

void async_run(const asio::any_io_executor& executor, pipeline&& what, asio::cancellation_slot slot,
               pipeline_handler handler) {
  std::make_shared<pipeline_operation>(executor, std::move(what), std::move(handler))->start(slot);
}

} // namespace detail

// On a loop of its own: beside several spawns it costs little, and there is one way to run them.
pipeline_result run(const pipeline& what) {
  asio::io_context loop(1);
  std::exception_ptr failure;
  pipeline_result done;
  std::make_shared<detail::pipeline_operation>(
      loop.get_executor(), pipeline(what),
      detail::pipeline_handler(
          [&](std::exception_ptr error, pipeline_result result) {
            failure = std::move(error);
            done = std::move(result);
          },
          loop.get_executor()))
      ->start_here();
  loop.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
  return done;
}

} // namespace subproc
