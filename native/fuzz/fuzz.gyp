{
  # Built by scripts/fuzz, in a folder of its own beside which `native` is a link to this tree.
  "targets": [
    {
      "target_name": "fuzz",
      "sources": ["<!@(ls native/core/*.cc native/engine/copy/*.cc native/engine/pipe/*.cc native/fuzz/*.cc)"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
      "cflags!": ["-O3"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-std=c++17"],
      "cflags_cc": [
        "-std=c++20",
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=fuzzer-no-link,address,undefined",
        "-fno-sanitize-recover=undefined",
        "-isystem", "<!(node -p \"require('node:path').dirname(require.resolve('node-addon-api'))\")"
      ],
      # The runtimes export the same names with an empty body; -Bsymbolic makes ours the ones that count.
      "ldflags": ["-fsanitize=address,undefined", "-shared-libasan", "-Wl,-Bsymbolic"],
      "libraries": ["-lre2", "<!(clang++-14 -print-runtime-dir)/libclang_rt.fuzzer_no_main-<!(uname -m).a"]
    }
  ]
}
