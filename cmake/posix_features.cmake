# What the libc of a plain POSIX system has beyond POSIX.1-2008, for src/posix/system.cpp.
include(CheckCXXSymbolExists)
set(posix_definitions)
foreach(feature IN ITEMS
    pipe2:unistd.h closefrom:unistd.h close_range:unistd.h setresuid:unistd.h sigtimedwait:signal.h)
  string(REPLACE ":" ";" feature "${feature}")
  list(GET feature 0 name)
  list(GET feature 1 header)
  string(TOUPPER "SUBPROC_HAS_${name}" variable)
  check_cxx_symbol_exists(${name} ${header} ${variable})
  if(${variable})
    list(APPEND posix_definitions ${variable})
  endif()
endforeach()

# getrusage(2): bytes on macOS, KiB elsewhere.
if(APPLE)
  list(APPEND posix_definitions SUBPROC_RESIDENT_UNIT=1)
else()
  list(APPEND posix_definitions SUBPROC_RESIDENT_UNIT=1024)
endif()
set_source_files_properties(src/posix/system.cpp PROPERTIES
  COMPILE_DEFINITIONS "${posix_definitions}")
