// What the programs in the kernel and the addon share: the layout of the maps. Included by C (-target bpf) and by C++;
// both compilers assert the sizes, so a change that only one of them sees does not build.
#ifndef LONGSPLICE_ABI_H
#define LONGSPLICE_ABI_H

#include <linux/types.h>

// Local numbers are what a socket's own stack believes, real numbers what its remote end believes (docs/packet-engine.md).
//   real_rcv = local_rcv + adv_in,  real_snd = local_snd + adv_out

// In the lowest bits of `phase`. Above them is the number of the link, so that a packet which began under an earlier
// one finds out.
enum ls_state {
  LS_LOCAL = 0,     // packets go to and come from the socket's own stack, moved by the advances
  LS_LINKED = 1,    // packets go past it, to the remote end of the peer
  LS_RESUMING = 2,  // somebody is finding out whether the link is quiet; packets are dropped and come again
  LS_STATE = 3,     // the bits
};

enum ls_flags {
  LS_TIMESTAMPS = 1,  // the connection negotiated RFC 7323 timestamps
  LS_CLIENT = 2,      // the remote end is the client; who changes the state of a link begins with this record
  LS_BUDGET = 4,      // `budget_end` counts
  LS_JUDGED = 8,      // requests and responses are judged one by one: `judge`
  LS_UNSEEN = 16,  // on the client's record: user space has yet to send on what waited when the link was made
  LS_DIRECT = 32,  // on the client's record: its stack has nothing of the request that the link was made for
};

// What became of the remote end's direction of the connection.
enum ls_ends {
  LS_FIN = 1,         // the remote end sent FIN; `fin_end` is behind it
  LS_RESET = 2,       // the remote end sent RST
  LS_OVER = 4,        // the link has ended, and its event was sent; or the socket is closed
  LS_SPENT = 8,       // all bytes of the budget were acknowledged, and the event was sent
  LS_HELD = 16,       // the RST did not go on: the other end would not believe it, or is not to hear of it
  LS_PIPELINES = 32,  // the client did not wait for a response before it sent its next request
  LS_OWES = 64,  // an acknowledgement of what went past, to be sent with the next segment to the remote end
  LS_CLOSES = 128,  // on the backend's record: it sent FIN behind a response, which has to come again
};

// Finds the record of a socket. IPv4 addresses are mapped (::ffff:a.b.c.d), so that there is one table.
struct ls_key {
  __be32 local[4];
  __be32 remote[4];
  __be16 local_port;
  __be16 remote_port;
};

// A parked socket. Three cache lines by who writes them and how often.
struct ls_record {
  // Written by user space before the state says `linked`; constant while it does.
  __u32 phase;      // number of the link << 2 | enum ls_state
  __u32 peer;       // index of the record at the other end of the link
  __u32 delta_seq;  // packets that arrive here leave at the peer with seq + delta_seq ...
  __u32 delta_ack;  // ... and ack + delta_ack
  __u32 link_rcv;   // real number: what the remote end sent before it was taken by the socket's own stack
  __u32 adv_in;
  __u32 adv_out;
  __u32 ts_advance;  // how far the timestamps last seen by the remote end are ahead of the stack's clock
  __u32 local_rcv;   // rcv_nxt of the stack
  __u32 local_snd;   // snd_nxt of the stack, counting what is about to be sent
  __u32 ts_base;     // the stack's timestamp clock at ts_base_ns
  __u32 ifindex;     // where the remote end is
  __u8 flags;
  __u8 remote_wscale;  // announced by the remote end
  __u8 local_wscale;   // announced by the stack
  __u8 family;         // AF_INET or AF_INET6
  __u32 worker;        // index of the ring that gets its events
  __u64 ts_base_ns;

  struct ls_key key;
  // Real number: what the remote end sends from here on returns to user space.
  __u32 budget_end;
  __u32 judge;  // index of the link's verdicts when LS_JUDGED
  __u32 spare[5];

  // Written by the programs, for packets that arrive from the remote end.
  __u32 seq_next;     // real: behind the last byte seen
  __u32 ack_seen;     // real: highest acknowledgement
  __u32 window;       // in bytes
  __u32 local_acked;  // local: what the stack was told of acknowledgements
  __u32 ts_delta;     // added to the remote end's TSval when ts_ready
  __u32 ts_ready;
  __u32 last_tsval;  // highest TSval that was sent to the remote end
  __u32 ends;        // enum ls_ends
  __u32 fin_end;     // real
  __u32 local_sent;  // local: how far the stack was seen to send; `local_snd` may be ahead
  __u32 given;       // real: behind the last byte that went to the stack, which may still miss earlier ones
  __u32 edge;        // local: up to where the stack lets its remote end send
  __u32 told;        // real: up to where the remote end was let send, by whoever spoke to it
  __u32 packets;
  __u64 bytes;  // TCP payload
};

enum ls_event_kind {
  LS_EVENT_FINISHED = 1,  // both ends sent FIN, and both were acknowledged
  LS_EVENT_RESET = 2,
  LS_EVENT_SPENT = 3,  // the budget of this record went past, and the other end has acknowledged all of it
  LS_EVENT_LATE = 4,  // the remote end went on beyond its budget after the other end had closed its direction
  LS_EVENT_PASSED = 5,  // struct ls_passed
  LS_EVENT_CLOSED = 6,  // judged: the backend ended its direction before its response was complete
  LS_EVENT_HANDED = 7,  // the link has returned, and the client's request is in its judge: `handed`
  LS_EVENT_AGAIN = 8,   // the client repeats a request that user space sent past the stack
};

struct ls_event {
  __u32 record;
  __u32 kind;
};

// Events and requests that passed wait there until the worker looks, or is called because a quarter is full.
#define LS_RING_BYTES (1 << 20)

// Of a worker, a cache line.
struct ls_worker {
  __u32 asleep;  // it has read its ring and wants to be called; else it looks again by itself
  __u32 spare[15];
};

// ---- Verdicts: whether the next request may pass on its link (docs/verdicts.md) ------------------------------------

#define LS_BEYOND_WINDOW (1 << 20)  // `edge` may be too low by this, before the stack has said anything
#define LS_LEAST_ROOM 32768         // bytes that the stack of an idle socket has room for at least

#define LS_HEAD_BYTES 2048  // room for a head; a power of two, so that a mask keeps an offset inside
#define LS_HEAD_MAX 1984    // longest head that is judged; what is read in words stays inside
#define LS_TARGET_MAX 255
#define LS_HOST_BYTES 64
#define LS_PATH_BYTES 56       // longest path of a route that is mirrored
#define LS_RETURNS 0xffffffff  // in place of a route: user space decides

// How far the exchange on a link is.
enum ls_exchange_state {
  LS_IDLE = 0,        // the last response is complete, or there was none
  LS_WAITING = 1,     // a request has passed
  LS_RESPONDING = 2,  // ... and the head of its response
};

// What the log is to know of requests; how much of the head an event carries.
enum ls_detail { LS_DETAIL_NONE = 0, LS_DETAIL_TARGET = 1, LS_DETAIL_HEAD = 2 };

// A request that passed and was answered. Followed by `text` bytes of its head.
struct ls_passed {
  __u32 record;      // the client's
  __u32 kind;        // LS_EVENT_PASSED
  __u64 started_ns;  // CLOCK_MONOTONIC
  __u64 responded_ns;
  __u64 ended_ns;
  __u32 body;   // bytes of the response's body
  __u32 route;  // LS_RETURNS: that with which user space made the link
  __u16 status;
  __u16 text;
  __u32 link;  // its number
};

// A path of the route table, for hosts of one class: of those that begin a path at a boundary, the longest says where
// it leads.
struct ls_path_key {
  __u32 table;
  __u32 host_class;
  char text[LS_PATH_BYTES];
};
struct ls_path {
  __u32 route[2];  // of GET and HEAD
  __u32 pool[2];
  __u32 placed;  // bit per method: the backend depends on the target
};

// The backend that a target was sent to, where the policy always sends it to the same.
struct ls_place_key {
  __u32 version;
  __u32 route;
  __u64 target;  // ls_hash of host and target
};

// Header fields that are not left to pass unexamined are found by the ls_hash of their lowercase name.
struct ls_rules {
  __u32 version;  // changes with everything that a verdict depends on; 0 while it is being changed
  __u32 table;    // of ls_path_key
  __u32 head_bytes;
  __u32 fields;
  __u32 detail;
  __u32 spare;
  __u64 seed;      // of the hashes of names
  __u64 names[4];  // a bit for each: most fields need no look-up
};

// The verdicts of one link.
struct ls_judge {
  // Written by user space when the link is made.
  __u32 version;  // of the rules under which it was made
  __u32 host_class;
  __u32 pool;
  __u32 backend;
  __u64 depths;  // bit per length of a path that the host's class has
  __u64 host_hash;
  char host[LS_HOST_BYTES];  // the Host field of its first request, filled up with zeros
  __u32 host_length;

  // Written by the programs.
  __u32 busy;           // somebody judges a request
  __u32 state;          // enum ls_exchange_state
  __u32 request_begin;  // real numbers of the client
  __u32 request_end;
  __u32 response_begin;  // real numbers of the backend
  __u32 response_end;
  __u32 body_begin;
  __u32 head_method;  // 1: HEAD
  __u32 target_length;
  __u32 handed;   // bytes in `head` that went nowhere else: user space has them from here
  __u32 direct;   // the request is one that user space sent past the stack, in other words
  __u32 early;    // the client's stack has bytes from behind the request: what comes next goes there, too
  __u32 fields;   // where they begin in `head`, if that passed; else 0
  __u64 lengths;  // of the path: bit per number of bytes behind which a segment ends or begins
  struct ls_path_key path;
  struct ls_place_key place;
  struct ls_passed passed;
  char head[LS_HEAD_BYTES];
  __u64 zero;  // read along with the last bytes of the head; see `blur` in head.bpf.h
};

// Of 8 bytes at a time, keyed, so that nobody outside can make two that are the same.
static inline __attribute__((always_inline)) __u64 ls_mix(__u64 hash, __u64 word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
  // Twice: after the first one alone, a change of the highest bit is the same with every key, and the next word could undo it.
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93ULL;
  return hash ^ (hash >> 29);
}

// Every way out of the programs is counted. X(name, "what happened")
#define LS_COUNTERS(X)                                                                    \
  X(spliced, "packets that went from one end of a link to the other")                     \
  X(split_acks, "acknowledgements that a parked socket's stack was told of")              \
  X(local_in, "packets to a parked socket's own stack")                                   \
  X(local_out, "packets from a parked socket's own stack")                                \
  X(old_data, "retransmissions of what was received before the link")                     \
  X(old_data_cut, "retransmissions that begin before the link and end behind its begin")  \
  X(stack_acks, "acknowledgements of a parked socket's stack, brought up to date")        \
  X(stack_data, "data that a parked socket's stack sent into its link")                   \
  X(swallowed, "FIN and RST of a parked socket that died while it was linked")            \
  X(resuming, "packets dropped because the link was being resumed")                       \
  X(resumed, "links that returned to the stacks at a packet")                             \
  X(last_acks, "acknowledgements of such a packet, sent on without it")                   \
  X(handed, "requests that user space got past the stack, as their links returned")       \
  X(not_quiet, "packets for user space that have to come again: something is under way")  \
  X(judged, "requests that passed by a verdict")                                          \
  X(returned, "requests that user space has to see")                                      \
  X(unread_responses, "responses that user space has to read")                            \
  X(early_requests, "requests that came before the last response was complete")           \
  X(repeated, "requests that were sent again and passed again")                           \
  X(probes, "repetitions of which only the acknowledgement went on")                      \
  X(unjudged, "segments that no verdict covers, dropped")                                 \
  X(damaged, "segments to be judged that have a wrong checksum, dropped")                 \
  X(unexpected, "segments of a backend that belong to no response yet, dropped")          \
  X(lost_requests, "requests that found the ring full: the log misses them")              \
  X(reused, "new connections between addresses of an ended link")                         \
  X(finished, "links that ended with FIN")                                                \
  X(resets, "links that ended with RST")                                                  \
  X(icmp, "ICMP errors that were passed on to the other end")                             \
  X(orphans, "packets of an ended link whose other record is in use again, dropped")      \
  X(lost_events, "events that found their ring full: the sweep finds the link instead")   \
  X(bad_copy, "should never happen: a copy for the stack could not be cut to its header") \
  X(bad_peer, "should never happen: a link without its other end")                        \
  X(bad_packet, "should never happen: a packet that could not be rewritten")

enum ls_counter {
#define LS_COUNTER_ENUM(name, text) LS_COUNT_##name,
  LS_COUNTERS(LS_COUNTER_ENUM)
#undef LS_COUNTER_ENUM
      LS_COUNTER_MAX
};

#ifdef __cplusplus
#define LS_ASSERT static_assert
#else
#define LS_ASSERT _Static_assert
#endif
LS_ASSERT(sizeof(struct ls_key) == 36, "ls_key");
LS_ASSERT(sizeof(struct ls_record) == 192, "ls_record");
LS_ASSERT(__builtin_offsetof(struct ls_record, key) == 64, "the first line is what a link reads");
LS_ASSERT(__builtin_offsetof(struct ls_record, seq_next) == 128, "the third line is what packets write");
LS_ASSERT(sizeof(struct ls_event) == 8, "ls_event");
LS_ASSERT(sizeof(struct ls_worker) == 64, "ls_worker");
LS_ASSERT(sizeof(struct ls_passed) == 48, "ls_passed");
LS_ASSERT(__builtin_offsetof(struct ls_judge, head) == __builtin_offsetof(struct ls_judge, passed) + 48,
          "ls_passed is followed by the head");
LS_ASSERT(sizeof(struct ls_path_key) == 64, "ls_path_key");
#undef LS_ASSERT

#endif
