#pragma once

// The one place that knows which Asio is underneath (see also any_handler.hpp).

#include <subproc/detail/export.hpp>

#if defined(SUBPROC_BOOST_ASIO)
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#else
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
#include <asio/system_error.hpp>
#endif

#include <concepts>
#include <system_error>
#include <type_traits>

namespace SUBPROC_NAMESPACE {

/// The event loop's library, and how it calls errors: std::error_code and std::system_error, or
/// those of boost::system.
#if defined(SUBPROC_BOOST_ASIO)
namespace asio = boost::asio;
namespace detail {
namespace error_library = boost::system;
}
#else
namespace asio = ::asio;
namespace detail {
namespace error_library = std;
}
#endif

/// The error code type of the event loop underneath.
using error_code = detail::error_library::error_code;

/// What is thrown with such a code: std::system_error, or boost::system::system_error.
using system_error = detail::error_library::system_error;

namespace detail {

using error_library::error_condition;
using error_library::generic_category;
using error_library::system_category;

inline error_code generic_error(std::errc e) noexcept {
  return {static_cast<int>(e), generic_category()};
}

template <class T>
concept execution_context = std::convertible_to<T&, asio::execution_context&> &&
    requires(T& context) {
  context.get_executor();
};

template <class T>
concept executor = asio::execution::is_executor<T>::value || asio::is_executor<T>::value;

} // namespace detail
} // namespace subproc
