/** Before the tests of scripts/sanitize: what they start as node is the program that loads the sanitizers first. */
process.execPath = process.env.LONGSPLICE_NODE ?? process.execPath;
