#include <subproc/pipeline.hpp>

#include "error_text.hpp"
#include "platform.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace {

template <class T>
void take_if_unsaid(T& mine, T& other) {
  if (!mine) {
    mine = std::move(other);
  }
}

std::string place_of(std::size_t stage, const pipeline& what) {
  return "stage " + std::to_string(stage + 1) + " of " + std::to_string(what.stages().size());
}

// "Pipeline 'a | b' ", or of one of its commands where that is what ended it.
std::string pipeline_text(const pipeline& what) { return "Pipeline '" + to_string(what) + "' "; }

std::string stage_text(const pipeline& what, std::size_t stage) {
  return "Command '" + to_string(what.stages()[stage]) + "', " + place_of(stage, what) + " of '" +
         to_string(what) + "', ";
}

// What an error says as one of a single command.
completed_process about(const pipeline_result& all, std::size_t stage) {
  if (stage >= all.stages.size()) { // nothing was started
    completed_process nothing;
    nothing.cmd = all.what.stages()[stage];
    nothing.cancelled = all.cancelled;
    return nothing;
  }
  completed_process one = all.stages[stage];
  const completed_process& last = all.stages.back();
  one.out = last.out;
  one.out_captured = last.out_captured;
  one.out_dropped = last.out_dropped;
  if (stage + 1 != all.stages.size()) {
    one.pieces.clear(); // they are about its own streams
  }
  return one;
}

std::string reason_of(const spawn_error& why, const pipeline& what, std::size_t stage) {
  std::string text = place_of(stage, what);
  if (why.step() != spawn_step::exec) { // which says it
    text += ", '" + to_string(what.stages()[stage]) + '\'';
  }
  return why.reason().empty() ? text : text + ": " + why.reason();
}

bool died_of_sigpipe(const completed_process& ended) {
  return detail::broken_pipe_signal != 0 && ended.status.signal() == detail::broken_pipe_signal;
}

} // namespace

pipeline& pipeline::operator|=(pipeline next) & {
  for (placed_filter& each : next.filters_) {
    each.after += stages_.size();
    filters_.push_back(std::move(each));
  }
  if (stages_.empty()) {
    stages_ = std::move(next.stages_);
  } else {
    std::ranges::move(next.stages_, std::back_inserter(stages_));
  }
  take_if_unsaid(timeout_, next.timeout_);
  take_if_unsaid(deadline_, next.deadline_);
  take_if_unsaid(stop_steps_, next.stop_steps_);
  if (!policy_ && !judge_) {
    policy_ = next.policy_;
    judge_ = std::move(next.judge_);
  }
  check_ = check_ || next.check_;
  forgive_sigpipe_ = forgive_sigpipe_ || next.forgive_sigpipe_;
  capture_output_ = capture_output_ || next.capture_output_;
  own_groups_ = own_groups_ || next.own_groups_;
  cancel_signals_ = cancel_signals_ || next.cancel_signals_;
  return *this;
}

std::vector<filter> pipeline::filters(std::size_t after) const {
  std::vector<filter> found;
  for (const placed_filter& each : filters_) {
    if (each.after == after) {
      found.push_back(each.what);
    }
  }
  return found;
}

std::optional<std::size_t> pipeline::blame(const std::vector<completed_process>& ended) const {
  if (judge_) {
    const auto stage = (*judge_)(ended);
    if (stage && *stage >= ended.size()) {
      throw system_error(detail::generic_error(std::errc::invalid_argument),
                         "policy: the judge names stage " + std::to_string(*stage) + " of " +
                             std::to_string(ended.size()) + ", counted from 0");
    }
    return stage;
  }
  const pipeline_policy how = policy_.value_or(pipeline_policy::last);
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < ended.size(); ++i) {
    const bool last = i + 1 == ended.size();
    const bool fails = !ended[i].cmd.accepts(ended[i].status) &&
                       !(forgive_sigpipe_ && !last && died_of_sigpipe(ended[i]));
    const bool counts = last || how != pipeline_policy::last;
    if (fails && counts && !(found && how == pipeline_policy::first_failed)) {
      found = i;
    }
  }
  return found;
}

std::string to_string(const pipeline& what) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : " | ") + part; };
  for (std::size_t i = 0;; ++i) {
    for (std::size_t filters = what.filters(i).size(); filters > 0; --filters) {
      add("{filter}");
    }
    if (i == what.stages().size()) {
      return text;
    }
    add(to_string(what.stages()[i]));
  }
}

std::ostream& operator<<(std::ostream& os, const pipeline& what) { return os << to_string(what); }

const std::string& pipeline_result::out() const noexcept {
  static const std::string nothing;
  return stages.empty() ? nothing : stages.back().out;
}

void pipeline_result::check_status() const {
  if (failed) {
    throw pipeline_failed(*this);
  }
}

pipeline_error::pipeline_error(pipeline_result result)
    : result_(std::make_shared<const pipeline_result>(std::move(result))) {}

pipeline_error::~pipeline_error() = default;

// Bases are made in order: the texts and the copy come before the result is moved from.
pipeline_failed::pipeline_failed(pipeline_result result)
    : called_process_error(stage_text(result.what, *result.failed) +
                               detail::end_text(result.status),
                           about(result, *result.failed)),
      pipeline_error(std::move(result)) {}

pipeline_timeout::pipeline_timeout(pipeline_result result, std::size_t stage, double seconds)
    : timeout_expired((result.stages[stage].inactive ? stage_text(result.what, stage)
                                                     : pipeline_text(result.what)) +
                          detail::timeout_text(result.stages[stage].inactive, seconds),
                      about(result, stage), seconds),
      pipeline_error(std::move(result)) {}

pipeline_aborted::pipeline_aborted(error_code ec, pipeline_result result, std::size_t stage)
    : operation_error((ec == asio::error::operation_aborted ? pipeline_text(result.what)
                                                            : stage_text(result.what, stage)) +
                          detail::failure_text(ec),
                      ec, about(result, stage)),
      pipeline_error(std::move(result)) {}

pipeline_spawn_error::pipeline_spawn_error(const spawn_error& why, const pipeline& what,
                                           std::size_t stage)
    : spawn_error(why.code(), why.step(), why.path(), reason_of(why, what, stage)), stage_(stage),
      command_(std::make_shared<const command>(what.stages()[stage])) {}

} // namespace subproc
