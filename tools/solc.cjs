// solc's command line for the compiler that npm ships as WebAssembly: standard JSON in on stdin, out on stdout.
//
// py-solc-x (Ape) and forge both expect a native compiler. They ask it for --version, and for --standard-json. forge
// puts every source's text inside the JSON. Ape leaves out what comes from node_modules, and compiles in a copy of the
// project that has no node_modules either (unless the project itself lies in the temporary folder): such an import is
// read from here.
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

function readImport(name) {
  try {
    return { contents: fs.readFileSync(path.join(__dirname, "..", name), "utf8") };
  } catch (error) {
    return { error: error.message };
  }
}

if (options.includes("--version")) {
  process.stdout.write(versionText());
} else if (options.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: readImport }));
} else {
  process.stderr.write("solc: only --version and --standard-json (JSON on standard input) work here.\n");
  process.exitCode = 1;
}
