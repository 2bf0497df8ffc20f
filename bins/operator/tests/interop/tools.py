"""Answers requests, a line of JSON each, with public Python tools: ethstaker-deposit, mnemonic, eth-account, eth-keyfile."""

import json
import os
import sys
import traceback
import unicodedata

import eth_keyfile
import mnemonic as bip39
from eth_account import Account
from eth_account.hdaccount.mnemonic import Mnemonic as WalletMnemonic
from ethstaker_deposit.credentials import Credential
from ethstaker_deposit.key_handling.key_derivation.mnemonic import abbreviate_words, get_seed, reconstruct_mnemonic
from ethstaker_deposit.key_handling.key_derivation.path import mnemonic_and_path_to_key
from ethstaker_deposit.key_handling.keystore import Keystore, Pbkdf2Keystore, ScryptKeystore
from ethstaker_deposit.settings import get_chain_setting
from ethstaker_deposit.utils.validation import validate_deposit
from py_ecc.bls import G2ProofOfPossession

# ethstaker-deposit's own lists are left out of its wheel; those of `mnemonic` have the same names.
WORD_LISTS = os.path.join(os.path.dirname(bip39.__file__), "wordlist")
Account.enable_unaudited_hdwallet_features()


def about():
    return {"unicode": unicodedata.unidata_version, "wallet_languages": WalletMnemonic.list_languages()}


def generate(language, entropy):
    return bip39.Mnemonic(language).to_mnemonic(bytes.fromhex(entropy))


def spell(phrase):
    words = phrase.split(" ")
    return {
        "full": phrase,
        "four letters": " ".join(abbreviate_words(words)),
        "upper case": phrase.upper(),
        "wide spaces": "\u3000 " + "\u3000".join(words[:4]) + "\t " + "  ".join(words[4:]) + "\r\n",
        "composed": unicodedata.normalize("NFC", phrase),
        "decomposed": unicodedata.normalize("NFD", phrase),
    }


def accept(language, phrase):
    return reconstruct_mnemonic(phrase, WORD_LISTS, language)


def seed(phrase):
    seeds = {get_seed(mnemonic=phrase, password=""), bip39.Mnemonic.to_seed(phrase)}
    (only,) = seeds
    return only.hex()


def derive(phrase, index):
    secret = mnemonic_and_path_to_key(mnemonic=phrase, path=f"m/12381/3600/{index}/0/0", password="")
    return G2ProofOfPossession.SkToPk(secret).hex()


def encrypt_keystore(secret, password, path, kdf):
    kind = {"scrypt": ScryptKeystore, "pbkdf2": Pbkdf2Keystore}[kdf]
    return kind.encrypt(secret=bytes.fromhex(secret), password=password, path=path).as_json()


def open_keystore(keystore, password):
    secret = Keystore.from_json(json.loads(keystore)).decrypt(password)
    return G2ProofOfPossession.SkToPk(int.from_bytes(secret, "big")).hex()


def encrypt_with_eth_keyfile(secret, password):
    cost = {"version": 4, "kdf": "pbkdf2", "iterations": 4096}
    return json.dumps(eth_keyfile.create_keyfile_json(bytes.fromhex(secret), password.encode(), **cost))


def open_with_eth_keyfile(keystore, password):
    secret = eth_keyfile.decode_keyfile_json(json.loads(keystore), password.encode())
    return G2ProofOfPossession.SkToPk(int.from_bytes(secret, "big")).hex()


def credential(phrase, index, network, address):
    return Credential(
        mnemonic=phrase,
        mnemonic_password="",
        index=index,
        amount=32 * 10**9,
        chain_setting=get_chain_setting(network),
        hex_withdrawal_address=address,
    )


def deposit(phrase, index, network, address):
    datum = credential(phrase, index, network, address).deposit_datum_dict
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in datum.items()}


def verify_deposit(deposit, phrase, index, network, address):
    return validate_deposit(deposit, get_chain_setting(network), credential(phrase, index, network, address))


def wallet_address(language, phrase):
    # It finds the language itself.
    return Account.from_mnemonic(phrase).address


def encrypt_wallet(secret, password, kdf):
    iterations = {"scrypt": None, "scrypt n=4096": 4096, "pbkdf2": 4096}[kdf]
    return json.dumps(Account.encrypt(secret, password, kdf.split(" ")[0], iterations))


def open_wallet(wallet, password):
    return Account.from_key(Account.decrypt(wallet, password)).address


CALLS = {
    call.__name__: call
    for call in [
        about,
        generate,
        spell,
        accept,
        seed,
        derive,
        encrypt_keystore,
        open_keystore,
        encrypt_with_eth_keyfile,
        open_with_eth_keyfile,
        deposit,
        verify_deposit,
        wallet_address,
        encrypt_wallet,
        open_wallet,
    ]
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": CALLS[request.pop("call")](**request)}
    except Exception as error:
        answer = {"error": repr(error), "trace": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
