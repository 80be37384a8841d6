# The component for Boost.Process v2, beside the library on either loop. Its public header takes
# Boost.Process as the including program has it configured; who does not define
# BOOST_PROCESS_USE_STD_FS links Boost::filesystem.
if(SUBPROC_BOOST STREQUAL "ON" AND NOT UNIX)
  message(FATAL_ERROR "SUBPROC_BOOST: the component for Boost.Process needs a POSIX system.")
endif()
if(NOT SUBPROC_BOOST OR NOT UNIX)
  return()
endif()
if(SUBPROC_BOOST STREQUAL "AUTO")
  find_package(Boost 1.81 QUIET)
else()
  find_package(Boost 1.81 REQUIRED)
endif()
if(NOT Boost_FOUND)
  return()
endif()

add_library(subproc_interop src/boost/boost_start.cpp)
target_sources(subproc_interop
  PUBLIC FILE_SET HEADERS BASE_DIRS include FILES include/subproc/interop/boost_process.hpp)
target_compile_definitions(subproc_interop PRIVATE SUBPROC_BUILDING BOOST_PROCESS_USE_STD_FS)
target_include_directories(subproc_interop PRIVATE src ${platform_folders})
target_link_libraries(subproc_interop PUBLIC subproc Boost::headers)
if(SUBPROC_ASIO STREQUAL "boost")
  set(component boost_on_boost)
else()
  set(component boost)
endif()
add_library(subproc::${component} ALIAS subproc_interop)
set_target_properties(subproc_interop PROPERTIES
  OUTPUT_NAME ${library}_interop
  EXPORT_NAME ${component}
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  CXX_EXTENSIONS OFF
  CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON
  VERIFY_INTERFACE_HEADER_SETS ON)
