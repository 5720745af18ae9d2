// The very source of the programs, compiled for this machine.
#include "../../../native/bpf/splice.bpf.c"

#include "program_host.h"

const host_program host_programs[3] = {loopback_egress, outer_ingress, outer_egress};
void *const host_sockets = &sockets, *const host_records = &records, *const host_counters = &counters,
            *const host_rings = &rings;
__u16 host_translated(void) { return translated; }
__u16 host_stack_copy(void) { return stack_copy; }
