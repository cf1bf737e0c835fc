# Shared build rules: warnings and helpers used by every folder.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(LIBVIRT REQUIRED IMPORTED_TARGET libvirt libvirt-qemu)
pkg_check_modules(PUGIXML REQUIRED IMPORTED_TARGET pugixml)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
include(GoogleTest)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(drover_warnings INTERFACE)
target_compile_options(drover_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Werror)
# libstdc++ 12 warns inside its own headers at -O2 (GCC bugs 105329, 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(drover_warnings INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-maybe-uninitialized)
endif()

# drover_library(NAME SOURCES a.cpp ... USES base model ... THIRD_PARTY PkgConfig::X ...)
# Third-party libraries are linked PRIVATE: only the folder that owns one may include it.
function(drover_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_library(drover_${name} STATIC ${ARG_SOURCES})
  target_include_directories(drover_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(drover_${name} PUBLIC ${ARG_USES} PRIVATE drover_warnings ${ARG_THIRD_PARTY})
endfunction()

# What the sanitizer builds and the fuzz build build.
add_custom_target(unit_tests)
add_custom_target(fuzzers)

# drover_test(NAME SOURCES a_test.cpp ... USES net ...): one GoogleTest program per folder.
function(drover_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(${name}_test PRIVATE drover_warnings ${ARG_USES} ${ARG_THIRD_PARTY} GTest::gtest_main)
  add_dependencies(unit_tests ${name}_test)
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# drover_program(NAME SOURCES ... USES ... THIRD_PARTY ...): a program, built to bin/NAME.
function(drover_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(${name} PRIVATE drover_warnings ${ARG_USES} ${ARG_THIRD_PARTY})
endfunction()

# drover_fuzzer(NAME SOURCES a_fuzz.cpp USES mover): libFuzzer target bin/fuzz_NAME; only with DROVER_FUZZERS.
# Other presets keep its name: tests/CMakeLists.txt runs it as ctest test fuzz.NAME.
function(drover_fuzzer name)
  set_property(GLOBAL APPEND PROPERTY DROVER_FUZZER_NAMES ${name})
  if(NOT DROVER_FUZZERS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(fuzz_${name} PRIVATE drover_warnings ${ARG_USES} ${ARG_THIRD_PARTY})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endfunction()
