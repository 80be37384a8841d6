#include "reason.hpp"

#include "console.hpp"

#include <subproc/error.hpp>

#include <asio/error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace fanout {
namespace {

std::string what_is_too_long(const subproc::command& cmd) {
  const auto longest =
      std::ranges::max_element(cmd.args(), {}, [](const auto& arg) { return arg.size(); });
  if (longest->size() > longest_argument()) {
    return fmt::format(": argument {} has {} bytes, and this system takes no more than {} in one "
                       "(MAX_ARG_STRLEN)",
                       longest - cmd.args().begin(), longest->size(), longest_argument());
  }
  return ": its arguments and its environment are more than this system takes (ARG_MAX)";
}

} // namespace

std::string reason(const subproc::pool_result& result) {
  const std::string command = to_string(result.process.cmd);
  if (!result.error) {
    return fmt::format("{}: {}", command, to_string(result.process.status));
  }
  try {
    std::rethrow_exception(result.error);
  } catch (const subproc::operation_error& error) {
    if (error.code() == subproc::errc::output_limit) {
      return command + ": killed, it wrote more than --max-output allows";
    }
    if (error.code() == asio::error::operation_aborted) {
      return command + ": killed, fanout gave up";
    }
    return error.what();
  } catch (const subproc::timeout_expired& error) {
    return fmt::format("{}: killed, it took more than {} s", command, error.timeout());
  } catch (const subproc::spawn_error& error) {
    const bool too_long = error.code() == std::errc::argument_list_too_long;
    return error.what() + (too_long ? what_is_too_long(result.process.cmd) : "");
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::string words_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& what) {
    return what.what();
  }
}

} // namespace fanout
