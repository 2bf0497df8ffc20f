// Answers requests, a line of JSON each, with public npm tools: ChainSafe's, bip39, ethers and OpenZeppelin's.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { encryptKeystoreJson, HDNodeWallet, Mnemonic, Wallet, wordlists as walletWordlists } from "ethers";

const require = createRequire(import.meta.url);
const bip39 = require("bip39");
const { deriveKeyFromEntropy, eth2ValidatorPaths } = require("@chainsafe/bls-keygen");
const { Keystore, defaultPbkdfModule, defaultScryptModule } = require("@chainsafe/bls-keystore");

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const publicKey = (secret) => bls12_381.longSignatures.getPublicKey(secret).toBytes();

// ethers has names of its own for the languages.
const WALLET_LANGUAGES = {
  chinese_simplified: "zh_cn",
  chinese_traditional: "zh_tw",
  czech: "cz",
  english: "en",
  italian: "it",
  korean: "ko",
  portuguese: "pt",
  spanish: "es",
};

const CALLS = {
  about: () => ({
    unicode: process.versions.unicode,
    wallet_languages: Object.keys(WALLET_LANGUAGES).filter((language) => walletWordlists[WALLET_LANGUAGES[language]]),
  }),

  generate: ({ language, entropy }) => bip39.entropyToMnemonic(entropy, bip39.wordlists[language]),

  accept: ({ language, phrase }) => (bip39.validateMnemonic(phrase, bip39.wordlists[language]) ? phrase : null),

  seed: ({ phrase }) => hex(bip39.mnemonicToSeedSync(phrase)),

  derive: ({ phrase, index }) =>
    hex(publicKey(deriveKeyFromEntropy(bip39.mnemonicToSeedSync(phrase), eth2ValidatorPaths(index).signing))),

  encrypt_keystore: async ({ secret, password, path, kdf }) => {
    const stretch = { scrypt: defaultScryptModule, pbkdf2: defaultPbkdfModule }[kdf]();
    const keystore = await Keystore.create(password, bytes(secret), publicKey(bytes(secret)), path, null, stretch);
    return keystore.stringify();
  },

  open_keystore: async ({ keystore, password }) => hex(publicKey(await Keystore.parse(keystore).decrypt(password))),

  // The leaf of the vault contract: the bytes of the validator, and its position in the file.
  merkle_root: ({ deposits }) => {
    const leaf = (deposit, index) => [`0x${deposit.pubkey}${deposit.signature}${deposit.deposit_data_root}`, index];
    return StandardMerkleTree.of(deposits.map(leaf), ["bytes", "uint256"]).root;
  },

  wallet_address: ({ language, phrase }) =>
    HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(phrase, "", walletWordlists[WALLET_LANGUAGES[language]])).address,

  encrypt_wallet: ({ secret, password, kdf }) => {
    const cost = { scrypt: {}, "scrypt n=4096": { scrypt: { N: 4096 } } }[kdf];
    return encryptKeystoreJson(new Wallet(`0x${secret}`), password, cost);
  },

  open_wallet: async ({ wallet, password }) => (await Wallet.fromEncryptedJson(wallet, password)).address,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await CALLS[call](request) };
  } catch (error) {
    answer = { error: String(error), trace: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
