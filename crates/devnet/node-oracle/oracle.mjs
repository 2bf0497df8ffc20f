// One oracle of the devnet on unrelated libraries: noble curves, eciesjs, OpenZeppelin's tree, ethers.
// It does every check of the Rust oracles and refuses in the same words; a quorum of all oracles needs both to agree.
//
//   node oracle.mjs CONFIG.json      CONFIG: {deployment, key, position, total, peers: [[endpoint]]}
//
// Standard output: {"port": N}, then one line for each event. Standard input: {"fault": "none" | "down" | "refuse"}.
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
import { AbiCoder, Interface, Wallet, getAddress, getBytes, hexlify, keccak256 } from "ethers";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const rules = config.deployment;
const wallet = new Wallet(config.key);

const MAX_BODY = 8 << 20;
const SHARES_WAIT_MS = 6000;
const PEER_TIMEOUT_MS = 5000;
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

function checkPublicShards(position, key, shards) {
  const threshold = rules.recover_threshold;
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
  "event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index)",
]);
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

const scan = { last: undefined, keys: new Set(), turn: Promise.resolve() };

async function advance(head) {
  if (scan.last !== undefined) {
    const there = await rpc("eth_getBlockByNumber", quantity(scan.last.number), false);
    if (scan.last.number > Number(head.number) || there?.hash !== scan.last.hash) {
      scan.last = undefined;
      scan.keys.clear();
    }
  }
  const from = scan.last === undefined ? rules.deploy_block : scan.last.number + 1;
  if (from <= Number(head.number)) {
    const topics = [abi.getEvent("DepositEvent").topicHash];
    const filter = { address: rules.deposit_contract, topics, fromBlock: quantity(from), toBlock: head.number };
    for (const log of await rpc("eth_getLogs", filter)) {
      const [key, credentials, amount, signature] = abi.decodeEventLog("DepositEvent", log.data, log.topics).map(bytes);
      const whole = [key, credentials, amount, signature].map((part) => part.length).join() === "48,32,8,96";
      if (whole && verify(key, depositSigningRoot(key, credentials, amount.readBigUInt64LE()), signature)) {
        scan.keys.add(hexlify(key));
      }
      await breathe();
    }
  }
  scan.last = { number: Number(head.number), hash: head.hash };
}

async function facts(vault) {
  const head = await rpc("eth_getBlockByNumber", "latest", false);
  const read = async (to, name, ...args) => {
    const data = abi.encodeFunctionData(name, args);
    return abi.decodeFunctionResult(name, await rpc("eth_call", { to, data }, { blockHash: head.hash }))[0];
  };
  const known = await read(rules.vaults_registry, "vaults", vault);
  const depositRoot = await read(rules.deposit_contract, "get_deposit_root");
  // A vault of version 1 keeps the root and the index itself.
  const ownData = known && (await read(vault, "version")) === 1n;
  const registry = rules.deposit_data_registry;
  const dataRoot = ownData ? await read(vault, "validatorsRoot") : await read(registry, "depositDataRoots", vault);
  const nextIndex = ownData ? read(vault, "validatorIndex") : read(registry, "depositDataIndexes", vault);
  const dataIndex = Number(await nextIndex);
  const turn = scan.turn.catch(() => {}).then(() => advance(head));
  scan.turn = turn;
  await turn;
  return { now: Number(head.timestamp), known, depositRoot, dataRoot, dataIndex, keys: scan.keys };
}

// ---- The request: original-v1 7.1 and live-protocol C.3, column v2-v3.1

const isHex = (size) => (text) => typeof text === "string" && new RegExp(`^0x[0-9a-f]{${2 * size}}$`).test(text);
const isInt = (value) => Number.isSafeInteger(value) && value >= 0;
const list = (check) => (value) => Array.isArray(value) && value.every(check);
const nullable = (check) => (value) => value === null || check(value);
const isAddress = (text) => {
  try { return text.startsWith("0x") && getAddress(text) === text; } catch { return false; }
};
const SHAPE = {
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

function parse(body) {
  let request;
  try {
    request = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    refuse(`malformed request: ${error.message}`);
  }
  if (request === null || typeof request !== "object" || Array.isArray(request)) refuse("malformed request: no object");
  for (const name of Object.keys(request)) if (!Object.hasOwn(SHAPE, name)) refuse("malformed request: unknown member");
  for (const [name, check] of Object.entries(SHAPE)) {
    if (!Object.hasOwn(request, name) || !check(request[name])) refuse(`malformed request: ${name}`);
  }
  if (request.validators_manager_signature !== null) {
    refuse("validators_manager_signature must be null: the vault registers through its deposit data");
  }
  if (request.proof === null || request.proof_flags === null || request.proof_indexes === null) {
    refuse("proof, proof_flags and proof_indexes must not be null: the vault registers through its deposit data");
  }
  const count = request.public_keys.length;
  const limit = rules.validators_approval_batch_limit;
  if (count === 0) refuse("there are no validators in the request");
  if (count > limit) refuse(`${count} validators are over the batch limit of ${limit}`);
  const { deposit_signatures, public_key_shards, exit_signature_shards } = request;
  if ([deposit_signatures, public_key_shards, exit_signature_shards].some((each) => each.length !== count)) {
    refuse("public_keys, deposit_signatures and shards differ in length");
  }
  if ([...public_key_shards, ...exit_signature_shards].some((each) => each.length !== config.total)) {
    refuse(`each validator needs ${config.total} shards, one for each oracle`);
  }
  if (new Set(request.public_keys).size !== count) refuse("a public key is in the request twice");
  return request;
}

// ---- Checks

async function check(request) {
  const { vault_address: vault, public_keys: keys } = request;
  const chain = await facts(vault);
  if (!chain.known) refuse(`vault ${vault} is not in the vaults registry`);
  if (request.validators_root !== chain.depositRoot) refuse("validators_root is not the root of the deposit contract");
  if (request.deadline < chain.now) refuse("the deadline has passed");
  if (request.deadline > chain.now + rules.signature_validity_period) {
    refuse("the deadline is further away than the signature validity period");
  }
  const deposited = keys.findIndex((key) => chain.keys.has(key));
  if (deposited >= 0) refuse(`validator ${deposited} is deposited already`);
  if (request.validator_index !== chain.keys.size) {
    refuse(`validator_index is ${request.validator_index}, the next one is ${chain.keys.size}`);
  }

  const credentials = Buffer.concat([Buffer.from([1]), Buffer.alloc(11), bytes(vault)]);
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

  const shares = [];
  for (const [i, key] of keys.map(bytes).entries()) {
    checkPublicShards(i, key, request.public_key_shards[i].map(bytes));
    await breathe();
  }
  for (const i of keys.keys()) {
    shares.push(openShare(request, i));
    await breathe();
  }
  return { records, shares };
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

function openShare(request, validator) {
  let share;
  try {
    share = Buffer.from(decrypt(wallet.privateKey, bytes(request.exit_signature_shards[validator][config.position])));
  } catch {
    share = undefined;
  }
  if (share?.length !== 96) refuse(`the exit signature shard of validator ${validator} cannot be decrypted`);
  if (!shareIsValid(request, validator, config.position, share)) {
    refuse(`the exit signature shard of validator ${validator} does not match its public key shard`);
  }
  return share;
}

const shareIsValid = (request, validator, oracle, share) =>
  verify(bytes(request.public_key_shards[validator][oracle]), exitSigningRoot(request.validator_index + validator), share);

// ---- Shares of the other oracles

const inbox = new Map();
const arrivals = new EventEmitter().setMaxListeners(0);

function receive(body) {
  const { request, position, shares } = JSON.parse(body.toString("utf8"));
  if (!isHex(32)(request) || !isInt(position) || position >= config.total || !list(isHex(96))(shares)) {
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
const send = (message) =>
  Promise.all(config.peers.map((endpoints) =>
    endpoints.reduce((sent, endpoint) => sent.catch(() => post(endpoint, message)), Promise.reject()).catch(() => {})));

async function gather(request, hash, own) {
  const gathered = new Map([[config.position, own]]);
  const need = rules.recover_threshold;
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

function recover(request, gathered) {
  const some = [...gathered].slice(0, rules.recover_threshold);
  const scalars = lagrange(some.map(([position]) => BigInt(position + 1)), 0n);
  return request.public_keys.map((public_key, i) => {
    const signature = Buffer.from(combine(G2, some.map(([, shares]) => point(G2, shares[i])), scalars).toBytes());
    const validator_index = request.validator_index + i;
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

async function store(request) {
  const { exit_signature_shards, public_key_shards, public_keys, validator_index, vault_address } = request;
  const document = Buffer.from(
    JSON.stringify({ exit_signature_shards, public_key_shards, public_keys, validator_index, vault_address }));
  const response = await fetch(`${rules.ipfs_url}/add`, { method: "POST", body: document });
  const { cid } = await response.json();
  if (cid !== rawCid(document)) throw new Error(`the gateway stored ${rawCid(document)} as ${cid}`);
  return cid;
}

async function approve(body) {
  const request = parse(body);
  const { records, shares } = await check(request);
  const hash = keccak256(body);
  const sent = send({ request: hash, position: config.position, shares: shares.map(hexlify) });
  const gathered = await gather(request, hash, shares).finally(() => sent);
  for (const exit of recover(request, gathered)) tell({ event: "exit", ...exit });
  const ipfs_hash = await store(request);
  const signature = await wallet.signTypedData(
    { name: "KeeperOracles", version: "1", chainId: rules.chain_id, verifyingContract: rules.keeper },
    {
      KeeperValidators: [
        { name: "validatorsRegistryRoot", type: "bytes32" },
        { name: "vault", type: "address" },
        { name: "validators", type: "bytes" },
        { name: "exitSignaturesIpfsHash", type: "string" },
        { name: "deadline", type: "uint256" },
      ],
    },
    {
      validatorsRegistryRoot: request.validators_root,
      vault: request.vault_address,
      validators: Buffer.concat(records),
      exitSignaturesIpfsHash: ipfs_hash,
      deadline: request.deadline,
    },
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

async function registration(body) {
  tell({ event: "request", body: body.toString("utf8") });
  try {
    if (fault.fault === "refuse") refuse(fault.detail);
    const approval = await approve(body);
    tell({ event: "approval", ...approval });
    return [200, approval];
  } catch (error) {
    tell({ event: "refusal", detail: error.message });
    return [error instanceof Refusal ? 400 : 503, { detail: error.message }];
  }
}

async function route(message) {
  const name = `${message.method} ${message.url}`;
  if (name === "GET /") return [200, { oracle: wallet.address }];
  if (name !== "POST /" && name !== "POST /peer/shares") return [404, { detail: "not found" }];
  const body = await bodyOf(message);
  if (body === undefined) return [413, { detail: "the body is too large" }];
  if (name === "POST /") return registration(body);
  try {
    receive(body);
    return [204];
  } catch {
    return [400, { detail: "not a message of shares" }];
  }
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
