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
  # What it needs for precompiled headers (its manual, "Precompiled headers").
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(drover_warnings INTERFACE)
target_compile_options(drover_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Werror)
# libstdc++ 12 warns inside its own headers at -O2 (GCC bugs 105329, 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(drover_warnings INTERFACE
    -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-maybe-uninitialized)
endif()

# What nearly every file includes is parsed once. Only in the preset `release`: the others see to it that each file includes what it
# needs. Tests have GoogleTest besides, and are not optimised: together a quarter less of a build's time.
set(common_headers <algorithm> <array> <chrono> <condition_variable> <filesystem> <fstream> <functional> <map> <memory> <mutex>
  <optional> <set> <span> <string> <string_view> <thread> <utility> <vector> <fmt/core.h> <fmt/ranges.h>)
add_library(drover_headers OBJECT ${CMAKE_CURRENT_LIST_DIR}/headers.cpp)
target_link_libraries(drover_headers PRIVATE drover_warnings fmt::fmt Threads::Threads)
add_library(drover_test_headers OBJECT ${CMAKE_CURRENT_LIST_DIR}/headers.cpp)
target_link_libraries(drover_test_headers PRIVATE drover_warnings fmt::fmt Threads::Threads GTest::gtest)
target_compile_options(drover_test_headers PRIVATE ${DROVER_TEST_OPTIONS})
if(DROVER_PRECOMPILED_HEADERS)
  target_precompile_headers(drover_headers PRIVATE ${common_headers})
  target_precompile_headers(drover_test_headers PRIVATE ${common_headers} <gtest/gtest.h>)
endif()
function(drover_precompiled target headers)
  if(DROVER_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${headers})
  endif()
endfunction()

# drover_library(NAME SOURCES a.cpp ... USES base model ... THIRD_PARTY PkgConfig::X ...)
# Third-party libraries are linked PRIVATE: only the folder that owns one may include it.
function(drover_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_library(drover_${name} STATIC ${ARG_SOURCES})
  target_include_directories(drover_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(drover_${name} PUBLIC ${ARG_USES} PRIVATE drover_warnings ${ARG_THIRD_PARTY})
  drover_precompiled(drover_${name} drover_headers)
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
  target_compile_options(${name}_test PRIVATE ${DROVER_TEST_OPTIONS})
  drover_precompiled(${name}_test drover_test_headers)
  add_dependencies(unit_tests ${name}_test)
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# drover_program(NAME SOURCES ... USES ... THIRD_PARTY ...): a program, built to bin/NAME.
function(drover_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;THIRD_PARTY" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND drover_)
  target_link_libraries(${name} PRIVATE drover_warnings ${ARG_USES} ${ARG_THIRD_PARTY})
  drover_precompiled(${name} drover_headers)
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
