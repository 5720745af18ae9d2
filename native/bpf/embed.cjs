// Compiles a program for the kernel and writes a C++ file that carries the object: embed.cjs IN.bpf.c OUT.o OUT.cc
// Run by the native build (binding.gyp). The C++ file is written anew each time, so that what contains the object is
// compiled again, too.
const { execFileSync } = require("node:child_process");
const { writeFileSync } = require("node:fs");
const path = require("node:path");

const [source, object, carrier] = process.argv.slice(2);
// asm/types.h is in a folder of the machine's architecture, which a compiler for bpf does not look into.
const machine = execFileSync("cc", ["-dumpmachine"], { encoding: "utf8" }).trim();
const warnings = ["-Wall", "-Wextra", "-Werror"];
const includes = [`-I/usr/include/${machine}`, `-I${path.join(path.dirname(source), "include")}`];
// Version 3 of the instruction set (kernel 5.12) has the atomic operations.
const target = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-fno-strict-aliasing"];
execFileSync("clang-14", [...target, ...warnings, ...includes, "-c", source, "-o", object], {
  stdio: "inherit",
});

const name = `longsplice_${path.basename(source, ".bpf.c")}_bpf`;
const lines = [
  ".pushsection .rodata",
  ".balign 16",
  `.globl ${name}, ${name}_end`,
  `${name}:`,
  `.incbin "${path.resolve(object)}"`,
  `${name}_end:`,
  ".byte 0",
  ".popsection",
];
writeFileSync(carrier, `asm(R"(\n${lines.join("\n")}\n)");\n`);
