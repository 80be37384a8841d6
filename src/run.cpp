#include <subproc/run.hpp>

#include "run_operation.hpp"

#include <memory>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

completed_process run_blocking(command&& cmd, run_kind kind) {
  prepare(cmd, kind);
  const auto core = std::make_shared<process_core>(asio::any_io_executor(), std::move(cmd));
  core->launch();
  const error_code ec = core->run(run_deadline(*core));
  completed_process result = core->take_result();
  if (const std::exception_ptr error = judge(*core, result, ec, kind)) {
    std::rethrow_exception(error);
  }
  return result;
}

} // namespace

void async_run(const asio::any_io_executor& executor, command&& cmd, run_kind kind,
               asio::cancellation_slot slot, run_handler handler) {
  std::make_shared<run_operation>(executor, kind, std::move(handler))->start(std::move(cmd), slot);
}

} // namespace detail

completed_process run(const command& cmd) {
  return detail::run_blocking(command(cmd), detail::run_kind::run);
}

exit_status call(const command& cmd) {
  return detail::run_blocking(command(cmd), detail::run_kind::call).status;
}

exit_status check_call(const command& cmd) {
  return detail::run_blocking(command(cmd), detail::run_kind::check_call).status;
}

std::string check_output(command cmd) {
  return detail::run_blocking(std::move(cmd), detail::run_kind::check_output).out;
}

std::pair<exit_status, std::string> getstatusoutput(std::string_view script) {
  completed_process done = run(shell(script).out(piped).err(merge));
  if (done.out.ends_with('\n')) {
    done.out.pop_back();
  }
  return {done.status, std::move(done.out)};
}

std::string getoutput(std::string_view script) { return getstatusoutput(script).second; }

} // namespace subproc
