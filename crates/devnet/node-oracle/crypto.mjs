// SSZ, BLS and CIDs, on noble curves.

import { createHash } from "node:crypto";

import { bls12_381 } from "@noble/curves/bls12-381.js";

import { bytes, rules } from "./started.mjs";

// ---- SSZ: consensus specs, phase0/beacon-chain.md

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const chunk = (bytes) => Buffer.concat([bytes, Buffer.alloc(32)], 32);
const uint64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return chunk(bytes); };
const ZERO = Buffer.alloc(32);

const root48 = (key) => sha256(key.subarray(0, 32), chunk(key.subarray(32)));
const root96 = (signature) =>
  sha256(sha256(signature.subarray(0, 32), signature.subarray(32, 64)), sha256(signature.subarray(64), ZERO));
const domain = (kind, forkVersion, validatorsRoot) =>
  Buffer.concat([Buffer.from([kind, 0, 0, 0]), sha256(chunk(forkVersion), validatorsRoot).subarray(0, 28)]);

export const depositSigningRoot = (key, credentials, amount) =>
  sha256(
    sha256(sha256(root48(key), credentials), sha256(uint64(amount), ZERO)),
    domain(3, bytes(rules.genesis_fork_version), ZERO),
  );
export const depositDataRoot = (key, credentials, amount, signature) =>
  sha256(sha256(root48(key), credentials), sha256(uint64(amount), root96(signature)));
export const exitSigningRoot = (index) =>
  sha256(
    sha256(uint64(rules.capella_epoch), uint64(index)),
    domain(4, bytes(rules.capella_fork_version), bytes(rules.genesis_validators_root)),
  );

// ---- BLS12-381: keys in G1, signatures in G2

const bls = bls12_381.longSignatures;
const { Fr } = bls12_381.fields;
export const { Point: G1 } = bls12_381.G1;
export const { Point: G2 } = bls12_381.G2;
const CIPHERSUITE = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

// The point, or undefined when it is off the curve, outside the subgroup or at infinity.
export const point = (group, raw) => {
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
export const verify = (key, root, signature) => {
  const [p, s] = [point(G1, key), point(G2, signature)];
  return p !== undefined && s !== undefined && bls.verify(s, hashToCurve(root), p);
};

// For each x_j the product over m != j of numerator(x_m) / (x_j - x_m).
export const products = (xs, numerator) =>
  xs.map((own) =>
    xs.filter((other) => other !== own).reduce(
      (product, other) => Fr.mul(product, Fr.mul(numerator(other), Fr.inv(Fr.create(own - other)))), 1n));
export const lagrange = (xs, at) => products(xs, (other) => Fr.create(at - other));
// Most coefficients are small integers, of either sign: the negative ones would be long scalars.
const times = (p, scalar) =>
  scalar > Fr.ORDER / 2n ? p.negate().multiplyUnsafe(Fr.ORDER - scalar) : p.multiplyUnsafe(scalar);
export const combine = (group, points, scalars) =>
  points.reduce((sum, p, i) => sum.add(times(p, scalars[i])), group.ZERO);
export const range = (from, to) => Array.from({ length: to - from }, (_, i) => BigInt(from + i));

// CIDv1, raw, sha2-256, in base32.
export function rawCid(content) {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  let [text, bits, value] = ["b", 0, 0];
  for (const byte of Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), sha256(content)])) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31];
}
