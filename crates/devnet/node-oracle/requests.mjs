// What is asked for: parsed strictly, or not at all. Source: original-v1 7.1 and 7.4, live-protocol C.3, column v2-v3.1.

import { isAddress, isHex, isInt, list, nullable, refuse, rules } from "./started.mjs";

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

export function parseRegistration(body, total) {
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

export function parseRotation(body, total) {
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
