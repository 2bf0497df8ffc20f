// What the oracle reads from the execution node, all of it at one block.

import { setImmediate as breathe } from "node:timers/promises";

import { Interface, hexlify } from "ethers";

import { depositSigningRoot, verify } from "./crypto.mjs";
import { bytes, rules } from "./started.mjs";

const abi = new Interface([
  "function vaults(address) view returns (bool)",
  "function get_deposit_root() view returns (bytes32)",
  "function depositDataRoots(address) view returns (bytes32)",
  "function depositDataIndexes(address) view returns (uint256)",
  "function version() view returns (uint8)",
  "function validatorsRoot() view returns (bytes32)",
  "function validatorIndex() view returns (uint256)",
  "function isCollateralized(address) view returns (bool)",
  "function exitSignaturesNonces(address) view returns (uint256)",
  "event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index)",
  "event ConfigUpdated(string configIpfsHash)",
  "event OracleAdded(address indexed oracle)",
  "event OracleRemoved(address indexed oracle)",
  "event ValidatorsApproval(address indexed vault, string exitSignaturesIpfsHash)",
  "event ExitSignaturesUpdated(address indexed caller, address indexed vault, uint256 nonce, string exitSignaturesIpfsHash)",
]);
const KEEPER_EVENTS =
  ["ConfigUpdated", "OracleAdded", "OracleRemoved", "ValidatorsApproval", "ExitSignaturesUpdated"];
export const quantity = (value) => `0x${value.toString(16)}`;

export async function rpc(method, ...params) {
  const response = await fetch(rules.execution_url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

// What the events say: keys with their credentials, whose place is the validator's index; configs; whom the Keeper takes
// for an oracle; the exit signatures of each vault, the newest last.
const emptyLedger = () => ({ validators: new Map(), configs: [], oracles: new Set(), exits: new Map() });
const scan = { last: undefined, ledger: emptyLedger(), turn: Promise.resolve() };

async function logs(address, names, fromBlock, toBlock) {
  const topics = [names.map((name) => abi.getEvent(name).topicHash)];
  return rpc("eth_getLogs", { address, topics, fromBlock, toBlock });
}

// Nothing of a range is kept unless all of it was read.
async function readEvents(ledger, from, to) {
  const deposits = await logs(rules.deposit_contract, ["DepositEvent"], from, to);
  const keeper = await logs(rules.keeper, KEEPER_EVENTS, from, to);
  for (const log of deposits) {
    const [key, credentials, amount, signature] = abi.decodeEventLog("DepositEvent", log.data, log.topics).map(bytes);
    const whole = [key, credentials, amount, signature].map((part) => part.length).join() === "48,32,8,96";
    if (whole && !ledger.validators.has(hexlify(key)) &&
        verify(key, depositSigningRoot(key, credentials, amount.readBigUInt64LE()), signature)) {
      ledger.validators.set(hexlify(key), { index: ledger.validators.size, credentials: hexlify(credentials) });
    }
    await breathe();
  }
  for (const log of keeper) {
    const { name, args } = abi.parseLog(log);
    const block = Number(log.blockNumber);
    const stored = (vault, cid, rotatedIn) =>
      ledger.exits.set(vault, [...(ledger.exits.get(vault) ?? []), { cid, rotatedIn }]);
    if (name === "ConfigUpdated") ledger.configs.push({ block, cid: args.configIpfsHash });
    if (name === "OracleAdded") ledger.oracles.add(args.oracle);
    if (name === "OracleRemoved") ledger.oracles.delete(args.oracle);
    if (name === "ValidatorsApproval") stored(args.vault, args.exitSignaturesIpfsHash, undefined);
    if (name === "ExitSignaturesUpdated") stored(args.vault, args.exitSignaturesIpfsHash, block);
  }
}

async function advance() {
  const head = await rpc("eth_getBlockByNumber", "latest", false);
  if (scan.last !== undefined) {
    const there = await rpc("eth_getBlockByNumber", quantity(scan.last.number), false);
    if (scan.last.number > Number(head.number) || there?.hash !== scan.last.hash) {
      scan.last = undefined;
      scan.ledger = emptyLedger();
    }
  }
  const from = scan.last === undefined ? rules.deploy_block : scan.last.number + 1;
  if (from <= Number(head.number)) {
    const old = scan.ledger;
    const next = {
      validators: new Map(old.validators), configs: [...old.configs],
      oracles: new Set(old.oracles), exits: new Map(old.exits),
    };
    await readEvents(next, quantity(from), head.number);
    scan.ledger = next;
  }
  scan.last = { number: Number(head.number), hash: head.hash };
  const read = async (to, name, ...args) => {
    const data = abi.encodeFunctionData(name, args);
    return abi.decodeFunctionResult(name, await rpc("eth_call", { to, data }, { blockHash: head.hash }))[0];
  };
  return { now: Number(head.timestamp), ledger: scan.ledger, read };
}

// The newest block, and all events up to it; one scan after another.
export async function snapshot() {
  const turn = scan.turn.catch(() => {}).then(advance);
  scan.turn = turn;
  return turn;
}

export const isKnown = (chain, vault) => chain.read(rules.vaults_registry, "vaults", vault);

export async function facts(chain, vault) {
  const { read } = chain;
  const known = await isKnown(chain, vault);
  const depositRoot = await read(rules.deposit_contract, "get_deposit_root");
  // A vault of version 1 keeps the root and the index itself.
  const ownData = known && (await read(vault, "version")) === 1n;
  const registry = rules.deposit_data_registry;
  const dataRoot = ownData ? await read(vault, "validatorsRoot") : await read(registry, "depositDataRoots", vault);
  const nextIndex = ownData ? read(vault, "validatorIndex") : read(registry, "depositDataIndexes", vault);
  return { known, depositRoot, dataRoot, dataIndex: Number(await nextIndex) };
}
