# For machines without an Asio package: a pinned release. The find module takes it from here.
include(FetchContent)
FetchContent_Declare(asio
  GIT_REPOSITORY https://github.com/chriskohlhoff/asio.git
  GIT_TAG 12e0ce9e0500bf0f247dbd1ae894272656456079) # asio-1-30-2
FetchContent_MakeAvailable(asio)
set(Asio_INCLUDE_DIR "${asio_SOURCE_DIR}/asio/include" CACHE PATH "Folder of asio.hpp" FORCE)
