/** The kernel tests, by their full names, that ask for what came only with a later kernel: tcx, with 6.6. */
export const NOT_HERE = /hooks by tcx /;
