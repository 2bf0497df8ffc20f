// Who the oracles are, and whose exit signatures were shared among others.

import { computeAddress, hexlify } from "ethers";

import { isKnown, quantity, rpc, snapshot } from "./chain.mjs";
import { rawCid } from "./crypto.mjs";
import { bytes, isAddress, isInt, refuse, rules, started } from "./started.mjs";

const FETCH_TIMEOUT_MS = 3000;
const TRIES = 3;
const STATUSES_AT_ONCE = 64;

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
const isInForce = (config, ledger) => {
  const { oracles, threshold } = quorumOf(config);
  return threshold >= 1 && threshold <= oracles.length && oracles.includes(started.public_key) &&
    oracles.every((key) => isOfKeeper(key, ledger));
};

export async function members({ ledger }) {
  let [inForce, othersBefore] = [undefined, false];
  for (const { block, cid } of [...ledger.configs].reverse()) {
    const config = await document(cid).catch(() => undefined);
    if (!isConfig(config)) continue;
    if (inForce === undefined) {
      if (isInForce(config, ledger)) inForce = { config, block };
    } else if (sameQuorum(quorumOf(config), quorumOf(inForce.config))) {
      inForce.block = block;
    } else {
      othersBefore = true;
      break;
    }
  }
  const at = (oracles, threshold, peers, since) =>
    ({ oracles, threshold, peers, since, position: oracles.indexOf(started.public_key), total: oracles.length });
  if (inForce !== undefined) {
    const { oracles, threshold } = quorumOf(inForce.config);
    const others = inForce.config.oracles.filter((oracle) => oracle.public_key !== started.public_key);
    const since = othersBefore ? (await rpc("eth_getBlockByNumber", quantity(inForce.block), false)).timestamp : 0;
    return at(oracles, threshold, others.map((oracle) => oracle.endpoints), Number(since));
  }
  if (ledger.configs.length > 0 && !started.oracles.every((key) => isOfKeeper(key, ledger))) {
    throw new Error("no config on chain names this oracle among oracles that the Keeper knows");
  }
  return at(started.oracles, rules.recover_threshold, started.peers, 0);
}

// ---- Whose exit signatures were shared among other oracles

export const credentialsOf = (vault) => Buffer.concat([Buffer.from([1]), Buffer.alloc(11), bytes(vault)]);

export const validatorsOf = ({ validators }, vault) => {
  const credentials = hexlify(credentialsOf(vault));
  return new Map([...validators].filter(([, own]) => own.credentials === credentials).map(([key, { index }]) => [key, index]));
};

// Key and index of validators whose newest exit signatures on chain are for another set; one of whom there are none is
// not among them.
export async function sharedAmongOthers({ ledger }, vault, present) {
  const newest = new Map();
  for (const { cid } of ledger.exits.get(vault) ?? []) {
    const stored = await document(cid);
    for (const key of stored.public_keys) newest.set(key, stored);
  }
  const isOutdated = (stored) =>
    !sameQuorum({ oracles: stored.oracles ?? [], threshold: stored.exit_signature_recover_threshold }, present);
  return new Map([...validatorsOf(ledger, vault)].filter(([key]) => newest.has(key) && isOutdated(newest.get(key))));
}

export async function statuses(indexes) {
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
export const stays = (status) => ["active_ongoing", "pending_initialized", "pending_queued"].includes(status);

export async function signatures(vault) {
  if (!isAddress(vault)) refuse("malformed request: no vault address");
  const chain = await snapshot();
  if (!(await isKnown(chain, vault))) refuse(`vault ${vault} is not in the vaults registry`);
  const outdated = await sharedAmongOthers(chain, vault, await members(chain));
  const status = await statuses([...outdated.values()]);
  const named = [...outdated].filter(([key]) => stays(status.get(key))).map(([, index]) => index);
  const last = (chain.ledger.exits.get(vault) ?? []).findLast(({ rotatedIn }) => rotatedIn !== undefined);
  return { block: last?.rotatedIn ?? null, indexes: named };
}
