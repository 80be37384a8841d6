# 64-bit Windows by MinGW-w64 (Debian: g++-mingw-w64-x86-64-posix), programs run under Wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
# Programs need no DLL of the compiler beside them.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_LIST_DIR}/../../scripts/wine")

# Header-only libraries of the host. Each in a folder of links: with the whole of /usr/include the
# compiler would take the host's libc.
set(host_headers "${CMAKE_BINARY_DIR}/host-headers")
foreach(entry IN ITEMS asio asio.hpp doctest CLI fmt nlohmann)
  foreach(include IN ITEMS /usr/local/include /usr/include)
    if(EXISTS "${include}/${entry}")
      file(MAKE_DIRECTORY "${host_headers}")
      file(CREATE_LINK "${include}/${entry}" "${host_headers}/${entry}" SYMBOLIC)
      break()
    endif()
  endforeach()
endforeach()
set(SUBPROC_HOST_HEADERS "${host_headers}" CACHE INTERNAL "")
set(Asio_INCLUDE_DIR "${host_headers}" CACHE PATH "Folder that holds asio.hpp")
