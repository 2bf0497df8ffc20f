// One oracle of the devnet on unrelated libraries: noble curves, eciesjs, OpenZeppelin's tree, ethers.
// It does every check of the Rust oracles and refuses in the same words; a quorum of all oracles needs both to agree.
//
//   node oracle.mjs CONFIG.json      CONFIG: {deployment, key, public_key, oracles: [public key], peers: [[endpoint]]}
//
// Standard output: {"port": N}, then one line for each event.
// Standard input: {"fault": "none" | "down" | "refuse" | "outdated" | "synced_to"}, with "detail", "indexes" or "block".
// The process ends when its standard input does.

import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createInterface } from "node:readline";
import { setImmediate as breathe, setTimeout as sleep } from "node:timers/promises";

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { processMultiProof } from "@openzeppelin/merkle-tree/dist/core.js";
import { decrypt } from "eciesjs";
import { AbiCoder, Interface, Wallet, computeAddress, getAddress, getBytes, hexlify, keccak256 } from "ethers";

const started = JSON.parse(readFileSync(process.argv[2], "utf8"));
const rules = started.deployment;
const wallet = new Wallet(started.key);

const MAX_BODY = 8 << 20;
const SHARES_WAIT_MS = 6000;
const PEER_TIMEOUT_MS = 5000;
const FETCH_TIMEOUT_MS = 3000;
const TRIES = 3;
const STATUSES_AT_ONCE = 64;
const MAX_ORACLES = 30;
const MAX_REQUESTS = 64;
const DEPOSIT_GWEI = 32_000_000_000n;

class Refusal extends Error {}
const refuse = (detail) => { throw new Refusal(detail); };
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

// ---- SSZ: consensus specs, phase0/beacon-chain.md

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const chunk = (bytes) => Buffer.concat([bytes, Buffer.alloc(32)], 32);
const uint64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return chunk(bytes); };
const ZERO = Buffer.alloc(32);
const bytes = (hex) => Buffer.from(getBytes(hex));

const root48 = (key) => sha256(key.subarray(0, 32), chunk(key.subarray(32)));
const root96 = (signature) =>
  sha256(sha256(signature.subarray(0, 32), signature.subarray(32, 64)), sha256(signature.subarray(64), ZERO));
const domain = (kind, forkVersion, validatorsRoot) =>
  Buffer.concat([Buffer.from([kind, 0, 0, 0]), sha256(chunk(forkVersion), validatorsRoot).subarray(0, 28)]);

const depositSigningRoot = (key, credentials, amount) =>
  sha256(
    sha256(sha256(root48(key), credentials), sha256(uint64(amount), ZERO)),
    domain(3, bytes(rules.genesis_fork_version), ZERO),
  );
const depositDataRoot = (key, credentials, amount, signature) =>
  sha256(sha256(root48(key), credentials), sha256(uint64(amount), root96(signature)));
const exitSigningRoot = (index) =>
  sha256(
    sha256(uint64(rules.capella_epoch), uint64(index)),
    domain(4, bytes(rules.capella_fork_version), bytes(rules.genesis_validators_root)),
  );

// ---- BLS12-381: keys in G1, signatures in G2

const bls = bls12_381.longSignatures;
const { Fr } = bls12_381.fields;
const { Point: G1 } = bls12_381.G1;
const { Point: G2 } = bls12_381.G2;
const CIPHERSUITE = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

// The point, or undefined when it is off the curve, outside the subgroup or at infinity.
const point = (group, raw) => {
  try {
    const found = group.fromHex(raw.toString("hex"));
    return found.is0() ? undefined : found;
  } catch {
    return undefined;
  }
};
// Hashing to the curve is a third of a verification, and one exit message is verified once for each share.
const hashed = new Map();
const hashToCurve = (root) => {
  const name = root.toString("hex");
  if (!hashed.has(name)) {
    if (hashed.size >= 256) hashed.clear();
    hashed.set(name, bls.hash(root, CIPHERSUITE));
  }
  return hashed.get(name);
};
const verify = (key, root, signature) => {
  const [p, s] = [point(G1, key), point(G2, signature)];
  return p !== undefined && s !== undefined && bls.verify(s, hashToCurve(root), p);
};

// For each x_j the product over m != j of numerator(x_m) / (x_j - x_m).
const products = (xs, numerator) =>
  xs.map((own) =>
    xs.filter((other) => other !== own).reduce(
      (product, other) => Fr.mul(product, Fr.mul(numerator(other), Fr.inv(Fr.create(own - other)))), 1n));
const lagrange = (xs, at) => products(xs, (other) => Fr.create(at - other));
// Most coefficients are small integers, of either sign: the negative ones would be long scalars.
const times = (p, scalar) =>
  scalar > Fr.ORDER / 2n ? p.negate().multiplyUnsafe(Fr.ORDER - scalar) : p.multiplyUnsafe(scalar);
const combine = (group, points, scalars) =>
  points.reduce((sum, p, i) => sum.add(times(p, scalars[i])), group.ZERO);
const range = (from, to) => Array.from({ length: to - from }, (_, i) => BigInt(from + i));

function checkPublicShards(position, key, shards, threshold) {
  const points = shards.map((shard) => point(G1, shard));
  const expected = point(G1, key);
  if (expected === undefined || points.includes(undefined)) {
    refuse(`a public key shard of validator ${position} is not a point`);
  }
  const base = points.slice(0, threshold);
  const xs = range(1, threshold + 1);
  const straight = points.slice(threshold).every((p, i) =>
    combine(G1, base, lagrange(xs, BigInt(threshold + 1 + i))).equals(p));
  // The divided difference over the base is the leading coefficient: zero would mean that fewer shards recover.
  if (!straight || combine(G1, base, products(xs, () => 1n)).is0()) {
    refuse(`the public key shards of validator ${position} are not on one polynomial of the threshold's degree`);
  }
  if (!combine(G1, base, lagrange(xs, 0n)).equals(expected)) {
    refuse(`the public key shards of validator ${position} do not give its public key`);
  }
}

// ---- The chain, at one block

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
const quantity = (value) => `0x${value.toString(16)}`;

async function rpc(method, ...params) {
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
async function snapshot() {
  const turn = scan.turn.catch(() => {}).then(advance);
  scan.turn = turn;
  return turn;
}

const isKnown = (chain, vault) => chain.read(rules.vaults_registry, "vaults", vault);

async function facts(chain, vault) {
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

// ---- Who the oracles are: the newest config on chain all of whose oracles the Keeper knows

const documents = new Map();

// A JSON document of IPFS, some tries over: the gateway may have been told to fail now and then.
async function document(cid) {
  if (documents.has(cid)) return documents.get(cid);
  for (let tries = 1; ; tries++) {
    try {
      const response = await fetch(`${rules.ipfs_url}/ipfs/${cid}`, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      if (!response.ok) throw new Error(`the gateway did not give ${cid}`);
      const content = Buffer.from(await response.arrayBuffer());
      // What oracles store is one raw block; the config is announced in another layout, and has to be readable.
      if (cid.startsWith("bafkrei") && rawCid(content) !== cid) throw new Error(`what the gateway gave for ${cid} is not it`);
      documents.set(cid, JSON.parse(content.toString("utf8")));
      return documents.get(cid);
    } catch (error) {
      if (tries >= TRIES) throw error;
    }
  }
}

const addressOf = (key) => {
  try { return computeAddress(`0x04${key.slice(2)}`); } catch { return undefined; }
};
const quorumOf = ({ oracles, exit_signature_recover_threshold }) =>
  ({ oracles: oracles.map((oracle) => oracle.public_key), threshold: exit_signature_recover_threshold });
const sameQuorum = (a, b) => a.threshold === b.threshold && a.oracles.join() === b.oracles.join();
const isOfKeeper = (key, { oracles }) => oracles.has(addressOf(key));
const isConfig = (config) =>
  Array.isArray(config?.oracles) && isInt(config.exit_signature_recover_threshold) &&
  config.oracles.every(({ public_key, endpoints }) => typeof public_key === "string" && Array.isArray(endpoints));
const names = (config, ledger) => {
  const { oracles, threshold } = quorumOf(config);
  return threshold >= 1 && threshold <= oracles.length && oracles.includes(started.public_key) &&
    oracles.every((key) => isOfKeeper(key, ledger));
};

async function members({ ledger }) {
  let inForce;
  for (const { block, cid } of [...ledger.configs].reverse()) {
    const config = await document(cid).catch(() => undefined);
    if (!isConfig(config)) continue;
    if (inForce === undefined) {
      if (names(config, ledger)) inForce = { config, block };
    } else if (sameQuorum(quorumOf(config), quorumOf(inForce.config))) {
      inForce.block = block;
    } else {
      break;
    }
  }
  const at = (oracles, threshold, peers, since) =>
    ({ oracles, threshold, peers, since, position: oracles.indexOf(started.public_key), total: oracles.length });
  if (inForce !== undefined) {
    const { oracles, threshold } = quorumOf(inForce.config);
    const others = inForce.config.oracles.filter((oracle) => oracle.public_key !== started.public_key);
    const { timestamp } = await rpc("eth_getBlockByNumber", quantity(inForce.block), false);
    return at(oracles, threshold, others.map((oracle) => oracle.endpoints), Number(timestamp));
  }
  if (ledger.configs.length > 0 && !started.oracles.every((key) => isOfKeeper(key, ledger))) {
    throw new Error("no config on chain names this oracle among oracles that the Keeper knows");
  }
  return at(started.oracles, rules.recover_threshold, started.peers, 0);
}

// ---- Whose exit signatures were shared among other oracles

const credentialsOf = (vault) => Buffer.concat([Buffer.from([1]), Buffer.alloc(11), bytes(vault)]);

const validatorsOf = ({ validators }, vault) => {
  const credentials = hexlify(credentialsOf(vault));
  return new Map([...validators].filter(([, own]) => own.credentials === credentials).map(([key, { index }]) => [key, index]));
};

// Key and index of validators whose newest exit signatures on chain are for another set; one of whom there are none is
// not among them.
async function sharedAmongOthers({ ledger }, vault, present) {
  const newest = new Map();
  for (const { cid } of ledger.exits.get(vault) ?? []) {
    const stored = await document(cid);
    for (const key of stored.public_keys) newest.set(key, stored);
  }
  const isOutdated = (stored) =>
    !sameQuorum({ oracles: stored.oracles ?? [], threshold: stored.exit_signature_recover_threshold }, present);
  return new Map([...validatorsOf(ledger, vault)].filter(([key]) => newest.has(key) && isOutdated(newest.get(key))));
}

async function statuses(indexes) {
  const found = new Map();
  for (let from = 0; from < indexes.length; from += STATUSES_AT_ONCE) {
    const ids = indexes.slice(from, from + STATUSES_AT_ONCE).join(",");
    const url = `${rules.consensus_url}/eth/v1/beacon/states/head/validators?id=${ids}`;
    for (let tries = 1; ; tries++) {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        for (const { status, validator } of (await response.json()).data) found.set(validator.pubkey, status);
        break;
      } catch (error) {
        if (tries >= TRIES) throw new Error(`the beacon node did not give the validators' statuses: ${error.message}`);
      }
    }
  }
  return found;
}

// Nobody needs the exit signature of a validator that is leaving or gone.
const stays = (status) => ["active_ongoing", "pending_initialized", "pending_queued"].includes(status);

async function signatures(vault) {
  if (!isAddress(vault)) refuse("malformed request: no vault address");
  const chain = await snapshot();
  if (!(await isKnown(chain, vault))) refuse(`vault ${vault} is not in the vaults registry`);
  const outdated = await sharedAmongOthers(chain, vault, await members(chain));
  const status = await statuses([...outdated.values()]);
  const named = [...outdated].filter(([key]) => stays(status.get(key))).map(([, index]) => index);
  const last = (chain.ledger.exits.get(vault) ?? []).findLast(({ rotatedIn }) => rotatedIn !== undefined);
  return { block: last?.rotatedIn ?? null, indexes: named };
}

// ---- The requests: original-v1 7.1 and 7.4, and live-protocol C.3, column v2-v3.1

const isHex = (size) => (text) => typeof text === "string" && new RegExp(`^0x[0-9a-f]{${2 * size}}$`).test(text);
const isInt = (value) => Number.isSafeInteger(value) && value >= 0;
const list = (check) => (value) => Array.isArray(value) && value.every(check);
const nullable = (check) => (value) => value === null || check(value);
const isAddress = (text) => {
  try { return text.startsWith("0x") && getAddress(text) === text; } catch { return false; }
};
const REGISTRATION = {
  validator_index: isInt,
  vault_address: isAddress,
  validators_root: isHex(32),
  public_keys: list(isHex(48)),
  deposit_signatures: list(isHex(96)),
  public_key_shards: list(list(isHex(48))),
  exit_signature_shards: list(list(isHex(193))),
  validators_manager_signature: nullable((value) => typeof value === "string"),
  deadline: isInt,
  proof: nullable(list(isHex(32))),
  proof_flags: nullable(list((value) => typeof value === "boolean")),
  proof_indexes: nullable(list(isInt)),
};

const ROTATION = {
  vault_address: isAddress,
  public_keys: list(isHex(48)),
  public_key_shards: list(list(isHex(48))),
  exit_signature_shards: list(list(isHex(193))),
  deadline: isInt,
};

function parseStrictly(body, shape) {
  let request;
  try {
    request = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    refuse(`malformed request: ${error.message}`);
  }
  if (request === null || typeof request !== "object" || Array.isArray(request)) refuse("malformed request: no object");
  for (const name of Object.keys(request)) if (!Object.hasOwn(shape, name)) refuse("malformed request: unknown member");
  for (const [name, check] of Object.entries(shape)) {
    if (!Object.hasOwn(request, name) || !check(request[name])) refuse(`malformed request: ${name}`);
  }
  return request;
}

function parseRegistration(body, total) {
  const request = parseStrictly(body, REGISTRATION);
  if (request.validators_manager_signature !== null) {
    refuse("validators_manager_signature must be null: the vault registers through its deposit data");
  }
  if (request.proof === null || request.proof_flags === null || request.proof_indexes === null) {
    refuse("proof, proof_flags and proof_indexes must not be null: the vault registers through its deposit data");
  }
  const limit = rules.validators_approval_batch_limit;
  checkBatch(request, [request.deposit_signatures], limit, total);
  request.indexes = request.public_keys.map((_, i) => request.validator_index + i);
  return request;
}

function parseRotation(body, total) {
  const request = parseStrictly(body, ROTATION);
  checkBatch(request, [], rules.validators_exit_rotation_batch_limit, total);
  return request;
}

function checkBatch({ public_keys, public_key_shards, exit_signature_shards }, lists, limit, total) {
  const count = public_keys.length;
  if (count === 0) refuse("there are no validators in the request");
  if (count > limit) refuse(`${count} validators are over the batch limit of ${limit}`);
  if ([...lists, public_key_shards, exit_signature_shards].some((each) => each.length !== count)) {
    refuse("public_keys, deposit_signatures and shards differ in length");
  }
  if ([...public_key_shards, ...exit_signature_shards].some((each) => each.length !== total)) {
    refuse(`each validator needs ${total} shards, one for each oracle`);
  }
  if (new Set(public_keys).size !== count) refuse("a public key is in the request twice");
}

// ---- Checks

// A deadline is the time of the block that a request was made at, and the validity period: one that was made before the
// oracles changed has shares for those before.
function checkDeadline(deadline, now, since) {
  const period = rules.signature_validity_period;
  if (deadline > now + period) refuse("the deadline is further away than the signature validity period");
  if (since > 0 && deadline < since + period) {
    refuse("the deadline is that of a request which is older than the present set of oracles");
  }
}

async function checkShards(request, { threshold, position }) {
  for (const [i, key] of request.public_keys.map(bytes).entries()) {
    checkPublicShards(i, key, request.public_key_shards[i].map(bytes), threshold);
    await breathe();
  }
  const shares = [];
  for (const i of request.public_keys.keys()) {
    shares.push(openShare(request, i, position));
    await breathe();
  }
  return shares;
}

async function checkRegistration(request, snapshotted, present) {
  const { vault_address: vault, public_keys: keys } = request;
  const chain = await facts(snapshotted, vault);
  const { validators } = snapshotted.ledger;
  if (!chain.known) refuse(`vault ${vault} is not in the vaults registry`);
  if (request.validators_root !== chain.depositRoot) refuse("validators_root is not the root of the deposit contract");
  if (request.deadline < snapshotted.now) refuse("the deadline has passed");
  checkDeadline(request.deadline, snapshotted.now, present.since);
  const deposited = keys.findIndex((key) => validators.has(key));
  if (deposited >= 0) refuse(`validator ${deposited} is deposited already`);
  if (request.validator_index !== validators.size) {
    refuse(`validator_index is ${request.validator_index}, the next one is ${validators.size}`);
  }

  const credentials = credentialsOf(vault);
  const records = [];
  for (const [i, key] of keys.map(bytes).entries()) {
    const signature = bytes(request.deposit_signatures[i]);
    if (!verify(key, depositSigningRoot(key, credentials, DEPOSIT_GWEI), signature)) {
      refuse(`the deposit signature of validator ${i} is not valid for this vault`);
    }
    records.push(Buffer.concat([key, signature, depositDataRoot(key, credentials, DEPOSIT_GWEI, signature)]));
    await breathe();
  }
  checkProof(request, records, chain);
  const types = [
    { name: "validatorsRegistryRoot", type: "bytes32" },
    { name: "vault", type: "address" },
    { name: "validators", type: "bytes" },
    { name: "exitSignaturesIpfsHash", type: "string" },
    { name: "deadline", type: "uint256" },
  ];
  const message = { validatorsRegistryRoot: request.validators_root, vault, validators: Buffer.concat(records) };
  return { types, message };
}

async function checkRotation(request, chain, present) {
  const { vault_address: vault, public_keys: keys, deadline } = request;
  if (!(await isKnown(chain, vault))) refuse(`vault ${vault} is not in the vaults registry`);
  if (!(await chain.read(rules.keeper, "isCollateralized", vault))) {
    refuse(`vault ${vault} has no validators that the Keeper knows of`);
  }
  if (deadline <= chain.now) refuse("the deadline has passed");
  checkDeadline(deadline, chain.now, present.since);
  const ours = validatorsOf(chain.ledger, vault);
  const stranger = keys.findIndex((key) => !ours.has(key));
  if (stranger >= 0) refuse(`validator ${stranger} is none of this vault`);
  request.indexes = keys.map((key) => ours.get(key));
  const status = await statuses(request.indexes);
  const outdated = await sharedAmongOthers(chain, vault, present);
  for (const [i, key] of keys.entries()) {
    if (!status.has(key)) refuse(`validator ${i} is none of this vault`);
    if (!stays(status.get(key))) refuse(`validator ${i} is ${status.get(key)}`);
    if (!outdated.has(key)) refuse(`the exit signature of validator ${i} is not outdated`);
  }
  const types = [
    { name: "vault", type: "address" },
    { name: "exitSignaturesIpfsHash", type: "string" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ];
  return { types, message: { vault, nonce: await chain.read(rules.keeper, "exitSignaturesNonces", vault) } };
}

function checkProof(request, records, { dataIndex, dataRoot }) {
  const sorted = [...request.proof_indexes].sort((a, b) => a - b);
  if (sorted.length !== records.length || sorted.some((index, i) => index !== dataIndex + i)) {
    refuse(`proof_indexes are not the next ones of the vault's deposit data, which start at ${dataIndex}`);
  }
  const leaves = request.proof_indexes.map((index) => {
    const value = AbiCoder.defaultAbiCoder().encode(["bytes", "uint256"], [records[index - dataIndex], index]);
    return keccak256(keccak256(value));
  });
  let root;
  try {
    root = processMultiProof({ leaves, proof: request.proof, proofFlags: request.proof_flags });
  } catch {
    root = undefined;
  }
  if (root !== dataRoot) refuse("the proof does not lead to the vault's deposit data root");
}

function openShare(request, validator, position) {
  let share;
  try {
    share = Buffer.from(decrypt(wallet.privateKey, bytes(request.exit_signature_shards[validator][position])));
  } catch {
    share = undefined;
  }
  if (share?.length !== 96) refuse(`the exit signature shard of validator ${validator} cannot be decrypted`);
  if (!shareIsValid(request, validator, position, share)) {
    refuse(`the exit signature shard of validator ${validator} does not match its public key shard`);
  }
  return share;
}

const shareIsValid = (request, validator, oracle, share) => {
  const shard = request.public_key_shards[validator][oracle];
  return shard !== undefined && verify(bytes(shard), exitSigningRoot(request.indexes[validator]), share);
};

// ---- Shares of the other oracles

const inbox = new Map();
const arrivals = new EventEmitter().setMaxListeners(0);

function receive(body) {
  const { request, position, shares } = JSON.parse(body.toString("utf8"));
  if (!isHex(32)(request) || !isInt(position) || position >= MAX_ORACLES || !list(isHex(96))(shares)) {
    throw new Error("not a message of shares");
  }
  if (!inbox.has(request)) {
    inbox.set(request, new Map());
    if (inbox.size > MAX_REQUESTS) inbox.delete(inbox.keys().next().value);
  }
  inbox.get(request).set(position, shares.map(bytes));
  arrivals.emit(request);
}

const post = (endpoint, message) =>
  fetch(`${endpoint}/peer/shares`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(message),
    signal: AbortSignal.timeout(PEER_TIMEOUT_MS),
  });
// To the first endpoint of each peer that takes it; a peer that is down misses the shares.
const send = (peers, message) =>
  Promise.all(peers.map((endpoints) =>
    endpoints.reduce((sent, endpoint) => sent.catch(() => post(endpoint, message)), Promise.reject()).catch(() => {})));

async function gather(request, hash, own, { position: place, threshold: need }) {
  const gathered = new Map([[place, own]]);
  const deadline = Date.now() + SHARES_WAIT_MS;
  while (gathered.size < need) {
    const arrived = [...(inbox.get(hash) ?? [])].filter(([position]) => !gathered.has(position));
    for (const [position, shares] of arrived) {
      if (gathered.size >= need) break;
      let valid = shares.length === own.length;
      for (const [validator, share] of shares.entries()) {
        valid &&= shareIsValid(request, validator, position, share);
        if (!valid) break;
        await breathe();
      }
      if (valid) gathered.set(position, shares);
      else inbox.get(hash)?.delete(position);
    }
    // What came in meanwhile is looked at first; a message that did not verify is gone and not looked at again.
    const waiting = [...(inbox.get(hash)?.keys() ?? [])].some((position) => !gathered.has(position));
    if (gathered.size >= need || waiting) continue;
    if (Date.now() >= deadline) refuse(`shards of ${gathered.size} oracles arrived in time, ${need} recover an exit signature`);
    await Promise.race([new Promise((resolve) => arrivals.once(hash, resolve)), sleep(deadline - Date.now())]);
  }
  return gathered;
}

function recover(request, gathered, { threshold }) {
  const some = [...gathered].slice(0, threshold);
  const scalars = lagrange(some.map(([position]) => BigInt(position + 1)), 0n);
  return request.public_keys.map((public_key, i) => {
    const signature = Buffer.from(combine(G2, some.map(([, shares]) => point(G2, shares[i])), scalars).toBytes());
    const validator_index = request.indexes[i];
    if (!verify(bytes(public_key), exitSigningRoot(validator_index), signature)) {
      refuse(`the recovered exit signature of validator ${i} is not valid`);
    }
    return { public_key, validator_index, signature: hexlify(signature) };
  });
}

// ---- The approval

// CIDv1, raw, sha2-256, in base32.
function rawCid(content) {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  let [text, bits, value] = ["b", 0, 0];
  for (const byte of Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), sha256(content)])) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31];
}

// Members sorted by name. It says for whom the exits are shared: by that they are outdated, or not.
async function store(request, { oracles, threshold }) {
  const { exit_signature_shards, public_key_shards, public_keys, validator_index, indexes, vault_address } = request;
  const ofIndex = validator_index === undefined ? { validator_indexes: indexes } : { validator_index };
  const document = Buffer.from(JSON.stringify({
    exit_signature_recover_threshold: threshold, exit_signature_shards, oracles, public_key_shards, public_keys,
    ...ofIndex, vault_address,
  }));
  const response = await fetch(`${rules.ipfs_url}/add`, { method: "POST", body: document });
  const { cid } = await response.json();
  if (cid !== rawCid(document)) throw new Error(`the gateway stored ${rawCid(document)} as ${cid}`);
  return cid;
}

async function approve(body, parse, check) {
  const chain = await snapshot();
  const present = await members(chain);
  const request = parse(body, present.total);
  const { types, message } = await check(request, chain, present);
  const shares = await checkShards(request, present);
  const hash = keccak256(body);
  const sent = send(present.peers, { request: hash, position: present.position, shares: shares.map(hexlify) });
  const gathered = await gather(request, hash, shares, present).finally(() => sent);
  for (const exit of recover(request, gathered, present)) tell({ event: "exit", ...exit });
  const ipfs_hash = await store(request, present);
  const signature = await wallet.signTypedData(
    { name: "KeeperOracles", version: "1", chainId: rules.chain_id, verifyingContract: rules.keeper },
    { KeeperValidators: types },
    { ...message, exitSignaturesIpfsHash: ipfs_hash, deadline: request.deadline },
  );
  return { ipfs_hash, signature, deadline: request.deadline };
}

// ---- The service

let fault = { fault: "none" };

async function bodyOf(message) {
  const parts = [];
  let size = 0;
  for await (const part of message) {
    size += part.length;
    if (size > MAX_BODY) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function answer(give) {
  try {
    if (fault.fault === "refuse") refuse(fault.detail);
    return [200, await give()];
  } catch (error) {
    tell({ event: "refusal", detail: error.message });
    return [error instanceof Refusal ? 400 : 503, { detail: error.message }];
  }
}

const approval = (event, body, parse, check) => {
  tell({ event, body: body.toString("utf8") });
  return answer(async () => {
    const approved = await approve(body, parse, check);
    tell({ event: "approval", ...approved });
    return approved;
  });
};

const outdated = (vault) => answer(async () => {
  let { block, indexes } = await signatures(vault);
  if (fault.fault === "outdated") ({ indexes } = fault);
  if (fault.fault === "synced_to") ({ block } = fault);
  return { exit_signature_block_number: block, validators: indexes.map((index) => ({ index })) };
});

const POSTS = {
  "/": (body) => approval("request", body, parseRegistration, checkRegistration),
  "/signatures": (body) => approval("rotation", body, parseRotation, checkRotation),
  "/peer/shares": (body) => {
    try {
      receive(body);
      return [204];
    } catch {
      return [400, { detail: "not a message of shares" }];
    }
  },
};

async function route(message) {
  const { method, url } = message;
  if (method === "GET" && url === "/") return [200, { oracle: wallet.address }];
  const vault = /^\/signatures\/([^/?]+)$/.exec(url)?.[1];
  if (method === "GET" && vault !== undefined) return outdated(vault);
  if (method !== "POST" || !Object.hasOwn(POSTS, url)) return [404, { detail: "not found" }];
  const body = await bodyOf(message);
  return body === undefined ? [413, { detail: "the body is too large" }] : POSTS[url](body);
}

const server = http.createServer(async (message, response) => {
  const [status, answer] = await route(message).catch((error) => [500, { detail: error.message }]);
  response.shouldKeepAlive = false;
  response.writeHead(status, { "content-type": "application/json" }).end(answer && JSON.stringify(answer));
});
server.on("connection", (socket) => { if (fault.fault === "down") socket.destroy(); });

createInterface({ input: process.stdin })
  .on("line", (line) => { fault = JSON.parse(line); })
  .on("close", () => process.exit(0));
server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
