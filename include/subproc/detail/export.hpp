#pragma once

// SUBPROC_STATIC and SUBPROC_BUILDING are set by the build; a user never defines them.
#if defined(SUBPROC_STATIC)
#define SUBPROC_API
#elif defined(_WIN32) && defined(SUBPROC_BUILDING)
#define SUBPROC_API __declspec(dllexport)
#elif defined(_WIN32)
#define SUBPROC_API __declspec(dllimport)
#else
#define SUBPROC_API __attribute__((visibility("default")))
#endif

// So is SUBPROC_BOOST_ASIO: a library on Boost.Asio's loop is another one, and both may be in one
// program. Every header and source opens this namespace, and no other.
#if defined(SUBPROC_BOOST_ASIO)
#define SUBPROC_NAMESPACE subproc::inline boost_asio
#else
#define SUBPROC_NAMESPACE subproc
#endif
