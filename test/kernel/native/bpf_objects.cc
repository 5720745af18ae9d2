// What BPF objects are there, by their ids, whoever holds them: a process, an interface or a pin in a file system.
//
//   bpf_objects exist KIND:ID...   writes those that exist; KIND is prog, map or link
//   bpf_objects count ID           writes how many entries that map has
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "peer.h"

namespace {

using peer::die;

int call(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

int open_object(std::string_view kind, uint32_t id) {
  bpf_attr attributes{};
  attributes.map_id = id;  // a union with the ids of the other kinds
  if (kind == "prog") return call(BPF_PROG_GET_FD_BY_ID, attributes);
  if (kind == "map") return call(BPF_MAP_GET_FD_BY_ID, attributes);
  if (kind == "link") return call(BPF_LINK_GET_FD_BY_ID, attributes);
  errno = 0;
  die("kind " + std::string(kind));
}

bool exists(std::string_view object) {
  const size_t colon = std::min(object.find(':'), object.size());
  const auto id = static_cast<uint32_t>(peer::to_number(object.substr(colon + 1), "id"));
  const int fd = open_object(object.substr(0, colon), id);
  if (fd < 0 && errno != ENOENT) die(std::string(object));
  if (fd >= 0) close(fd);
  return fd >= 0;
}

unsigned count_entries(uint32_t id) {
  const int map = open_object("map", id);
  if (map < 0) die("map");
  bpf_map_info info{};
  bpf_attr about{};
  about.info.bpf_fd = static_cast<uint32_t>(map);
  about.info.info_len = sizeof(info);
  about.info.info = reinterpret_cast<uint64_t>(&info);
  if (call(BPF_OBJ_GET_INFO_BY_FD, about) < 0) die("map info");
  std::vector<char> key(info.key_size), next(info.key_size);
  bpf_attr step{};
  step.map_fd = static_cast<uint32_t>(map);
  step.next_key = reinterpret_cast<uint64_t>(next.data());
  unsigned entries = 0;
  for (; call(BPF_MAP_GET_NEXT_KEY, step) == 0; entries++) {
    key = next;
    step.key = reinterpret_cast<uint64_t>(key.data());
  }
  if (errno != ENOENT) die("entries");
  return entries;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc < 3 ? "" : argv[1];
  if (what == "count") {
    printf("%u\n", count_entries(static_cast<uint32_t>(peer::to_number(argv[2], "id"))));
    return 0;
  }
  if (what != "exist") die("bpf_objects exist|count ...");
  for (int i = 2; i < argc; i++) {
    if (exists(argv[i])) puts(argv[i]);
  }
}
