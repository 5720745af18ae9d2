/**
 * The kernel tests, by their full names, that ask for what came only with a later kernel (tcx, with 6.6), or for a machine
 * that keeps time: an emulated one is too slow for a sequence number that is due in half a second, compares nothing, and has no
 * minutes for hundreds of thousands of requests.
 */
export const NOT_HERE =
  /hooks by tcx |sequence numbers may |traffic past the proxy is as fast |no request of /;
