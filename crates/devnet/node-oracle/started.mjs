// What the oracle was told at its start, and how it says no.

import { readFileSync } from "node:fs";

import { Wallet, getAddress, getBytes } from "ethers";

export const started = JSON.parse(readFileSync(process.argv[2], "utf8"));
export const rules = started.deployment;
export const wallet = new Wallet(started.key);

export class Refusal extends Error {}
export const refuse = (detail) => { throw new Refusal(detail); };
export const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

export const bytes = (hex) => Buffer.from(getBytes(hex));

export const isHex = (size) => (text) => typeof text === "string" && new RegExp(`^0x[0-9a-f]{${2 * size}}$`).test(text);
export const isInt = (value) => Number.isSafeInteger(value) && value >= 0;
export const list = (check) => (value) => Array.isArray(value) && value.every(check);
export const nullable = (check) => (value) => value === null || check(value);
export const isAddress = (text) => {
  try { return text.startsWith("0x") && getAddress(text) === text; } catch { return false; }
};
