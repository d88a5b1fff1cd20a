# Compiler cache, linker, warnings, sanitizers: what every target of the project is built with.

find_program(RATCHET_CCACHE ccache)
if(RATCHET_CCACHE)
  # The sloppiness is what ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 ${RATCHET_CCACHE})
endif()

find_program(RATCHET_MOLD mold)
if(RATCHET_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
                    $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers> $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)

if(RATCHET_SANITIZE)
  add_compile_options(-fsanitize=${RATCHET_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RATCHET_SANITIZE})
endif()
