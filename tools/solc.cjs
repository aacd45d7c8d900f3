// solc's command line for the compiler that npm ships as WebAssembly: standard JSON in on stdin, out on stdout.
//
// py-solc-x (Ape) and forge both expect a native compiler. They ask it for --version, and for --standard-json with
// every source's text inside the JSON, so no import is ever read from disk and path options change nothing.
"use strict";
const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");

const solc = createRequire(path.join(__dirname, "..", "package.json"))("solc");

function versionText() {
  // Both callers recognise a compiler by its platform tag, and neither knows the one of the WebAssembly build.
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  return `solc, the solidity compiler commandline interface\nVersion: ${version}\n`;
}

const options = process.argv.slice(2);
if (options.includes("--version")) {
  process.stdout.write(versionText());
} else if (options.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  process.stderr.write("solc: only --version and --standard-json (JSON on standard input) work here.\n");
  process.exitCode = 1;
}
