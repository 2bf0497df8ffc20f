// Everything a request is held against before any share is given away.

import { setImmediate as breathe } from "node:timers/promises";

import { processMultiProof } from "@openzeppelin/merkle-tree/dist/core.js";
import { decrypt } from "eciesjs";
import { AbiCoder, keccak256 } from "ethers";

import { facts, isKnown } from "./chain.mjs";
import {
  G1, combine, depositDataRoot, depositSigningRoot, exitSigningRoot, lagrange, point, products, range, verify,
} from "./crypto.mjs";
import { credentialsOf, sharedAmongOthers, statuses, stays, validatorsOf } from "./members.mjs";
import { bytes, refuse, rules, wallet } from "./started.mjs";

const DEPOSIT_GWEI = 32_000_000_000n;

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

// A deadline is the time of the block that a request was made at, and the validity period: one that was made before the
// oracles changed has shares for those before.
function checkDeadline(deadline, now, since) {
  const period = rules.signature_validity_period;
  if (deadline > now + period) refuse("the deadline is further away than the signature validity period");
  if (since > 0 && deadline < since + period) {
    refuse("the deadline is that of a request which is older than the present set of oracles");
  }
}

export async function checkShards(request, { threshold, position }) {
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

export async function checkRegistration(request, snapshotted, present) {
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

export async function checkRotation(request, chain, present) {
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

export const shareIsValid = (request, validator, oracle, share) => {
  const shard = request.public_key_shards[validator][oracle];
  return shard !== undefined && verify(bytes(shard), exitSigningRoot(request.indexes[validator]), share);
};
