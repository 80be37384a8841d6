#pragma once

#include <subproc/pool.hpp>

#include <exception>
#include <string>

namespace fanout {

/// Why a job failed, with its command.
std::string reason(const subproc::pool_result& result);

/// what() of an exception.
std::string words_of(const std::exception_ptr& error);

} // namespace fanout
