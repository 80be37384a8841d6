# Boost.Asio as the loop. What is built here says <asio/...> and asio:: all the same: a folder of
# headers, which nobody but this build sees, gives both their meaning.
find_package(Boost 1.81 REQUIRED)
find_package(Threads REQUIRED)
set(SUBPROC_ASIO_VERSION "${Boost_VERSION}")
set(asio Boost::headers Threads::Threads)

set(asio_spelling "${PROJECT_BINARY_DIR}/asio_of_boost")
file(GLOB_RECURSE asio_headers RELATIVE "${Boost_INCLUDE_DIRS}/boost"
  "${Boost_INCLUDE_DIRS}/boost/asio.hpp" "${Boost_INCLUDE_DIRS}/boost/asio/*.hpp")
list(FILTER asio_headers EXCLUDE REGEX "/(detail|impl)/")
foreach(header IN LISTS asio_headers)
  file(CONFIGURE OUTPUT "${asio_spelling}/${header}"
    CONTENT "#pragma once\n#include <boost/${header}>\nnamespace asio = boost::asio;\n" @ONLY)
endforeach()
include_directories(BEFORE "${asio_spelling}")
