// Compiles the Solidity sources given on standard input: {"File.sol": "source", ..}. Imports of npm packages come from
// node_modules. Prints {"Contract": {"abi": [..], "bytecode": "0x.."}, ..}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const solc = require("solc");

const sources = JSON.parse(readFileSync(0, "utf8"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(Object.entries(sources).map(([name, content]) => [name, { content }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const findImport = (path) => {
  try {
    return { contents: readFileSync(require.resolve(path), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const errors = (output.errors ?? []).filter((each) => each.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((each) => each.formattedMessage).join("\n"));
  process.exit(1);
}
for (const each of output.errors ?? []) console.error(each.formattedMessage);

const artifacts = {};
for (const name of Object.keys(sources)) {
  for (const [contract, { abi, evm }] of Object.entries(output.contracts[name] ?? {})) {
    if (evm.bytecode.object !== "") artifacts[contract] = { abi, bytecode: `0x${evm.bytecode.object}` };
  }
}
process.stdout.write(JSON.stringify(artifacts));
