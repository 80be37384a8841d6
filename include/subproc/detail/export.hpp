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
