import { Command, Option } from "commander";
import {
  type AgentArguments,
  agent,
  type CheckArguments,
  check,
  doctor,
  type RunArguments,
  run,
} from "./commands.js";
import type { CliSystem } from "./system.js";
import { versionLine } from "./version.js";

/** Where proxies ask by default. */
const AGENT_ADDRESS = ":9902";

const ADDRESSES = `
Addresses: host:port, [v6]:port, :port or unix:/path; port 0 picks a free one.`;

const EXAMPLES = `
Examples:
  longsplice run --listen :8080 --backend 10.0.0.1:9001 --backend 10.0.0.2:9001
  longsplice run -c longsplice.yaml --log-level debug
  longsplice check -c longsplice.yaml --print

Exit codes: 0 fine, 1 bad configuration or arguments, 2 could not start, 70 internal error.`;

/**
 * The command line: what there is to type, and what it does. Parsing throws a CommanderError where it would end the
 * process; `done` gets the exit code of the command that ran.
 */
export function createProgram(system: CliSystem, done: (exitCode: number) => void): Command {
  const program = new Command("longsplice")
    .description("Content-aware TCP-splicing reverse proxy")
    .version(versionLine(), "-V, --version", "print versions")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .configureOutput({
      writeOut: (text) => system.stdout.write(text),
      writeErr: (text) => system.stderr.write(text),
      // `main` says it like every other error.
      outputError: () => {},
    })
    .addHelpText("after", EXAMPLES)
    .exitOverride();
  addRun(program).action(async (options: RunArguments) => done(await run(options, system)));
  program
    .command("check")
    .summary("check a configuration file")
    .description("Check a configuration file; each problem is printed as FILE:LINE:COLUMN: what is wrong.")
    .requiredOption("-c, --config <file>", "the file, YAML or JSON")
    .option("--print", "print the effective configuration, with every default")
    .option("--plan", "print how each route will be carried")
    .action(async (options: CheckArguments) => done(await check(options, system)));
  program
    .command("agent")
    .summary("tell proxies how busy this machine is")
    .description(
      "Run beside a backend and tell proxies how busy the machine is: processor, memory, disks, TCP connections.",
    )
    .option("--listen <address>", "answer load reports over HTTP here", AGENT_ADDRESS)
    .option("--agent-check <address>", "speak the agent-check protocol of HAProxy here, too")
    .action(async (options: AgentArguments) => done(await agent(options, system)));
  program
    .command("doctor")
    .summary("say what this machine can do")
    .description("Say which engines are usable here, or why not and how to get them.")
    .option("--json", "for scripts")
    .action(async (options: { json?: boolean }) => done(await doctor(options, system)));
  program
    .command("version")
    .description("Print the versions of longsplice, Node, the HTTP parser and the kernel.")
    .action(() => {
      system.stdout.write(`${versionLine()}\n`);
      done(0);
    });
  return program;
}

function addRun(program: Command): Command {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  return program
    .command("run")
    .summary("serve")
    .description("Serve, either as a configuration file says or as --listen and --backend describe.")
    .option("-c, --config <file>", "configuration file, YAML or JSON; SIGHUP reloads it")
    .option("--listen <address>", "accept clients here; may be repeated", collect)
    .option("--backend <address>", "send requests here; may be repeated", collect)
    .option("--policy <name>", "how to choose among the backends (default: round-robin)")
    .option("--engine <name>", "who moves the bytes: auto, copy, pipe, sockmap, packet")
    .option("--forward <mode>", "what user space sees: auto, exchange, request, connection")
    .option("--workers <number>", "threads that serve (default: one for each processor)")
    .option("--admin <address>", "serve health, metrics, status and dashboard here")
    .option("--log-level <level>", "fatal, error, warn, info, debug, trace or silent (default: info)")
    .option("--access-log <format>", "off, json or combined (default: off)")
    .addOption(new Option("--keep-on-crash").hideHelp())
    .addOption(new Option("--takeover").hideHelp())
    .addHelpText("after", ADDRESSES);
}
