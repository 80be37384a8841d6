# For subproc's own builds only: a project that takes subproc in keeps its own settings.
if(MSVC)
  add_compile_options(/W4 /permissive- /utf-8)
else()
  add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion)
endif()
add_compile_definitions(ASIO_NO_DEPRECATED BOOST_ASIO_NO_DEPRECATED)

# Asio's fences, inlined everywhere, are nothing that ThreadSanitizer needs to see; and g++ takes the
# operator delete of its coroutine frames for a foreign one.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-tsan $<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete>)
endif()
