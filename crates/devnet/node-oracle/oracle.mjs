// One oracle of the devnet on unrelated libraries: noble curves, eciesjs, OpenZeppelin's tree, ethers.
// It does every check of the Rust oracles and refuses in the same words; a quorum of all oracles needs both to agree.
//
//   node oracle.mjs CONFIG.json      CONFIG: {deployment, key, public_key, oracles: [public key], peers: [[endpoint]]}
//
// Standard output: {"port": N}, then one line for each event.
// Standard input: {"fault": "none" | "down" | "refuse" | "outdated" | "synced_to"}, with "detail", "indexes" or "block".
// The process ends when its standard input does.

import { EventEmitter } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";
import { setImmediate as breathe, setTimeout as sleep } from "node:timers/promises";

import { hexlify, keccak256 } from "ethers";

import { snapshot } from "./chain.mjs";
import { checkRegistration, checkRotation, checkShards, shareIsValid } from "./checks.mjs";
import { G2, combine, exitSigningRoot, lagrange, point, rawCid, verify } from "./crypto.mjs";
import { members, signatures } from "./members.mjs";
import { parseRegistration, parseRotation } from "./requests.mjs";
import { Refusal, bytes, isHex, isInt, list, refuse, rules, tell, wallet } from "./started.mjs";

const MAX_BODY = 8 << 20;
const SHARES_WAIT_MS = 6000;
const PEER_TIMEOUT_MS = 5000;
const MAX_REQUESTS = 64;
const MAX_ORACLES = 30;

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
