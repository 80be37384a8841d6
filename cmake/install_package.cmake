# The package. What is built on either loop has files of its own there, so that one prefix takes both.
include(CMakePackageConfigHelpers)
set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/subproc")

install(TARGETS subproc EXPORT ${library} FILE_SET HEADERS)
install(EXPORT ${library} NAMESPACE subproc:: FILE ${library}Targets.cmake
  DESTINATION "${config_dir}")
if(TARGET subproc_interop)
  install(TARGETS subproc_interop EXPORT ${library}_interop FILE_SET HEADERS)
  install(EXPORT ${library}_interop NAMESPACE subproc:: FILE ${library}_interopTargets.cmake
    DESTINATION "${config_dir}")
endif()

configure_package_config_file(cmake/subprocConfig.cmake.in subprocConfig.cmake
  INSTALL_DESTINATION "${config_dir}")
write_basic_package_version_file(subprocConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/${SUBPROC_ASIO}_loop.cmake.in ${library}Loop.cmake @ONLY)
install(FILES
  "${PROJECT_BINARY_DIR}/subprocConfig.cmake"
  "${PROJECT_BINARY_DIR}/subprocConfigVersion.cmake"
  "${PROJECT_BINARY_DIR}/${library}Loop.cmake"
  DESTINATION "${config_dir}")
if(SUBPROC_ASIO STREQUAL "standalone")
  install(FILES cmake/FindAsio.cmake DESTINATION "${config_dir}")
endif()
