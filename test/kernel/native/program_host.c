// The very source of the programs, compiled for this machine.
#include "../../../native/bpf/splice.bpf.c"

#include "program_host.h"

const host_program host_programs[3] = {loopback_egress, outer_ingress, outer_egress};
void *const host_sockets = &sockets, *const host_records = &records, *const host_counters = &counters,
            *const host_rings = &rings, *const host_judges = &judges, *const host_rule_set = &rule_set,
            *const host_scratch = &scratch, *const host_paths = &paths, *const host_names = &names,
            *const host_places = &places, *const host_workers = &workers;
__u32 host_scratch_bytes(void) { return sizeof(struct bytes); }
__u16 host_translated(void) { return translated; }
__u16 host_stack_copy(void) { return stack_copy; }
