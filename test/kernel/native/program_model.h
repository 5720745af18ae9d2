// What the programs are to make of a segment, written plainly: on fields, without checksums and without a packet.
#pragma once

#include <functional>

#include "program_packet.h"

namespace longsplice::programs {

struct Timestamps {
  uint32_t tsval;
  uint32_t tsecr;
};

// Options as the programs see them: TCP's, in their order, as far as they are whole.
Bytes change_options(Bytes options, const std::function<Timestamps(Timestamps)>& timestamps,
                     uint32_t sack_delta);

// The number that a segment of `from`'s remote end goes on with, in that end's numbers: one that says nothing of the bytes
// before it does not get ahead of them.
uint32_t arrived(const Segment& segment, const ls_record& from);
// The segment of `from`'s remote end, as it leaves for that of `to`.
Segment spliced(const Segment& segment, const ls_record& from, const ls_record& to);
// ... as the parked socket's own stack gets it while nothing goes past it.
Segment to_stack(const Segment& segment, const ls_record& record);
// ... and what that stack is told of it while it goes past.
Segment told_to_stack(const Segment& segment, const ls_record& record);
// ... or, when the remote end has not heard its acknowledgement, so that it repeats that.
Segment reminder_to_stack(const Segment& segment, const ls_record& record);
// What the stack of a parked socket sends, as its remote end gets it.
Segment from_local_stack(const Segment& segment, const ls_record& record);
Segment from_linked_stack(const Segment& segment, const ls_record& record, const ls_record& peer);

bool after(uint32_t a, uint32_t b);
uint32_t later(uint32_t a, uint32_t b);
uint32_t earlier(uint32_t a, uint32_t b);
// Behind the last byte, where FIN counts as one.
uint32_t end_of(const Segment& segment);

}  // namespace longsplice::programs
