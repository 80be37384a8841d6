#pragma once

// The one place that knows which Asio is underneath (see also any_handler.hpp).

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/associator.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/error_code.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/is_executor.hpp>
#include <asio/post.hpp>

#include <concepts>
#include <type_traits>

namespace subproc {

/// The error code type of the event loop underneath.
using error_code = asio::error_code;

namespace detail {

template <class T>
concept execution_context = std::convertible_to<T&, asio::execution_context&> &&
    requires(T& context) {
  context.get_executor();
};

template <class T>
concept executor = asio::execution::is_executor<T>::value || asio::is_executor<T>::value;

} // namespace detail
} // namespace subproc
