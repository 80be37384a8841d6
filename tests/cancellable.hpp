#pragma once

#include <subproc/run.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <utility>

namespace subproc::test {

/// A run that can be cancelled.
struct cancellable {
  void start(asio::io_context& context, const command& cmd) {
    async_run(context, cmd,
              asio::bind_cancellation_slot(signal.slot(),
                                           [this](std::exception_ptr e, completed_process r) {
                                             ++calls;
                                             error = std::move(e);
                                             result = std::move(r);
                                           }));
  }

  /// The error's code; none when there is no operation_error.
  error_code code() const {
    try {
      if (error) {
        std::rethrow_exception(error);
      }
    } catch (const operation_error& e) {
      CHECK(e.result().cancelled);
      return e.code();
    } catch (const std::exception&) {
    }
    return {};
  }

  asio::cancellation_signal signal;
  int calls = 0;
  std::exception_ptr error;
  completed_process result;
};

} // namespace subproc::test
