{
  "variables": {
    "packet": "<!(grep -qs 'MAJOR_VERSION [1-9]' /usr/include/bpf/libbpf_version.h && command -v clang-14 >/dev/null && echo yes || echo no)"
  },
  "targets": [
    {
      "target_name": "longsplice",
      "sources": [
        "native/binding/addon.cc",
        "native/binding/js_read.cc",
        "native/binding/probes.cc",
        "native/binding/snapshot_reader.cc",
        "native/binding/worker_binding.cc",
        "native/binding/worker_stats.cc",
        "native/core/access_log.cc",
        "native/core/address.cc",
        "native/core/body_pump.cc",
        "native/core/cidr_set.cc",
        "native/core/downstream.cc",
        "native/core/exchange_end.cc",
        "native/core/exchange_retry.cc",
        "native/core/exchange_forward.cc",
        "native/core/exchange_head.cc",
        "native/core/exchange_link.cc",
        "native/core/exchange_select.cc",
        "native/core/exchange_verdict.cc",
        "native/core/field_summary.cc",
        "native/core/forwarding.cc",
        "native/core/head_writer.cc",
        "native/core/header_rules.cc",
        "native/core/http_parser.cc",
        "native/core/idle_set.cc",
        "native/core/listener.cc",
        "native/core/llhttp_abi.cc",
        "native/core/message_head.cc",
        "native/core/pipe.cc",
        "native/core/poller.cc",
        "native/core/proxy_protocol.cc",
        "native/core/router.cc",
        "native/core/stream.cc",
        "native/core/timers.cc",
        "native/core/upstream.cc",
        "native/core/verdicts.cc",
        "native/core/worker.cc",
        "native/engine/copy/copy_engine.cc",
        "native/engine/pipe/pipe_engine.cc"
      ],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        # A thread that ends runs no JavaScript any more, before it tells us so: then a call must fail, not abort the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-std=c++17"],
      "cflags_cc": [
        "-std=c++20",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-Wconversion",
        "-Werror",
        "-fvisibility=hidden",
        "-isystem", "<!(node -p \"require('node:path').dirname(require.resolve('node-addon-api'))\")"
      ],
      "libraries": ["-lre2"],
      "conditions": [
        ["packet==\"yes\"", {
          "sources": [
            "native/binding/packet_binding.cc",
            "native/engine/packet/clsact.cc",
            "native/engine/packet/filters.cc",
            "native/engine/packet/guardian.cc",
            "native/engine/packet/hooks.cc",
            "native/engine/packet/kernel.cc",
            "native/engine/packet/last_words.cc",
            "native/engine/packet/link_requests.cc",
            "native/engine/packet/link_returns.cc",
            "native/engine/packet/link_verdicts.cc",
            "native/engine/packet/links.cc",
            "native/engine/packet/neighbours.cc",
            "native/engine/packet/netlink.cc",
            "native/engine/packet/packet_engine.cc",
            "native/engine/packet/parked_sockets.cc",
            "native/engine/packet/rtnetlink.cc",
            "native/engine/packet/segments.cc",
            "native/engine/packet/socket_facts.cc",
            "native/engine/packet/verdicts.cc",
            "native/binding/sockmap_binding.cc",
            "native/engine/sockmap/kernel.cc",
            "native/engine/sockmap/self_test.cc",
            "native/engine/sockmap/sockmap_engine.cc"
          ],
          "libraries": ["-lbpf"],
          "actions": [{
            "action_name": "bpf",
            "inputs": [
              "native/bpf/embed.cjs",
              "native/bpf/splice.bpf.c",
              "native/bpf/include/abi.h",
              "native/bpf/include/head.bpf.h",
              "native/bpf/include/response.bpf.h",
              "native/bpf/include/icmp.bpf.h",
              "native/bpf/include/link.bpf.h",
              "native/bpf/include/packet.bpf.h",
              "native/bpf/include/resume.bpf.h",
              "native/bpf/include/rewrite.bpf.h",
              "native/bpf/include/stack.bpf.h",
              "native/bpf/include/state.bpf.h",
              "native/bpf/include/verdict.bpf.h"
            ],
            "outputs": ["<(INTERMEDIATE_DIR)/splice_bpf.cc"],
            "process_outputs_as_sources": 1,
            "action": [
              "node", "native/bpf/embed.cjs", "native/bpf/splice.bpf.c",
              "<(INTERMEDIATE_DIR)/splice.bpf.o", "<(INTERMEDIATE_DIR)/splice_bpf.cc"
            ]
          }, {
            "action_name": "handoff",
            "inputs": [
              "native/bpf/embed.cjs",
              "native/bpf/handoff.bpf.c",
              "native/bpf/include/handoff.h"
            ],
            "outputs": ["<(INTERMEDIATE_DIR)/handoff_bpf.cc"],
            "process_outputs_as_sources": 1,
            "action": [
              "node", "native/bpf/embed.cjs", "native/bpf/handoff.bpf.c",
              "<(INTERMEDIATE_DIR)/handoff.bpf.o", "<(INTERMEDIATE_DIR)/handoff_bpf.cc"
            ]
          }]
        }, {
          "sources": ["native/binding/packet_missing.cc", "native/binding/sockmap_missing.cc"]
        }]
      ]
    }
  ]
}
