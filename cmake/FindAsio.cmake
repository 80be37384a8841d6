# Finds the headers of standalone Asio, which come without a CMake package of their own.
#
# Gives the target Asio::asio, and Asio_FOUND, Asio_VERSION, Asio_INCLUDE_DIR. Set Asio_INCLUDE_DIR
# (the folder that holds asio.hpp) or Asio_ROOT to take another Asio than the system's.

find_path(Asio_INCLUDE_DIR asio.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)

# "#define ASIO_VERSION 102201 // 1.22.1": the last two digits are the patch, three the minor.
unset(Asio_VERSION)
if(Asio_INCLUDE_DIR AND EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
  file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" Asio_version_line
    REGEX "^#define ASIO_VERSION [0-9]+" LIMIT_COUNT 1)
  if(Asio_version_line MATCHES "ASIO_VERSION ([0-9]+)")
    math(EXPR Asio_major "${CMAKE_MATCH_1} / 100000")
    math(EXPR Asio_minor "${CMAKE_MATCH_1} / 100 % 1000")
    math(EXPR Asio_patch "${CMAKE_MATCH_1} % 100")
    set(Asio_VERSION "${Asio_major}.${Asio_minor}.${Asio_patch}")
  endif()
endif()

find_package(Threads QUIET)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio
  REQUIRED_VARS Asio_INCLUDE_DIR Asio_VERSION Threads_FOUND
  VERSION_VAR Asio_VERSION
  REASON_FAILURE_MESSAGE
    "Debian and Ubuntu have libasio-dev. Building subproc can download it: SUBPROC_FETCH_ASIO=ON.")

if(Asio_FOUND AND NOT TARGET Asio::asio)
  add_library(Asio::asio INTERFACE IMPORTED)
  target_include_directories(Asio::asio INTERFACE "${Asio_INCLUDE_DIR}")
  target_compile_definitions(Asio::asio INTERFACE ASIO_STANDALONE)
  target_link_libraries(Asio::asio INTERFACE Threads::Threads)
  # Before 1.26 Asio does not know that clang with libstdc++ has coroutines.
  if(Asio_VERSION VERSION_LESS 1.26)
    target_compile_definitions(Asio::asio INTERFACE
      $<$<COMPILE_LANG_AND_ID:CXX,Clang>:ASIO_HAS_CO_AWAIT>
      $<$<COMPILE_LANG_AND_ID:CXX,Clang>:ASIO_HAS_STD_COROUTINE>)
  endif()
endif()
