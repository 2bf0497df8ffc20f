//! One validator's deposit, as a deposit data file states it.

use alloy_primitives::{Address, B256};
use sw_keys::SecretKey;
use sw_spec::{
    DepositData, DepositMessage, ForkVersion, Gwei, NetworkSpec, PublicKeyBytes, SignatureBytes, VALIDATOR_DEPOSIT,
    WithdrawalCredentials,
};

/// One validator's deposit.
///
/// Only the public key and the signature count for the tree, as in the original; what else a file states is kept so that
/// [`DepositDataFile::verify`](crate::DepositDataFile::verify) can compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositEntry {
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// Where the file says the stake is paid out.
    pub withdrawal_credentials: Option<WithdrawalCredentials>,
    /// What the file says is deposited.
    pub amount: Option<Gwei>,
    /// The validator's signature of the deposit.
    pub signature: SignatureBytes,
    /// What the file says the message's root is.
    pub deposit_message_root: Option<B256>,
    /// What the file says the deposit's root is.
    pub deposit_data_root: Option<B256>,
    /// The genesis fork version the file says the deposit is signed under.
    pub fork_version: Option<ForkVersion>,
    /// The network the file says the deposit is for.
    pub network_name: Option<String>,
    /// The version of the tool that made the entry.
    pub deposit_cli_version: Option<String>,
}

impl DepositEntry {
    /// Signs the deposit of 32 ETH (32 mGNO on Gnosis) for `vault`.
    pub fn sign(key: &SecretKey, vault: Address, network: &NetworkSpec) -> Self {
        let public_key = key.public_key().to_bytes();
        let root = deposit_message(public_key, vault).signing_root(network.genesis_fork_version);
        Self::from_signature(public_key, key.sign(&root).to_bytes(), vault, network)
    }

    /// Makes the entry of a deposit that a signer signed: everything but the signature follows from the arguments.
    pub fn from_signature(
        public_key: PublicKeyBytes,
        signature: SignatureBytes,
        vault: Address,
        network: &NetworkSpec,
    ) -> Self {
        let message = deposit_message(public_key, vault);
        Self {
            public_key,
            withdrawal_credentials: Some(message.withdrawal_credentials),
            amount: Some(message.amount),
            signature,
            deposit_message_root: Some(message.root()),
            deposit_data_root: Some(DepositData { message, signature }.root()),
            fork_version: Some(network.genesis_fork_version),
            network_name: Some(network.name.to_string()),
            deposit_cli_version: Some(DEPOSIT_CLI_VERSION.to_owned()),
        }
    }

    /// The deposit that `vault` makes with this entry, whatever the file states: to itself (0x01), of 32 ETH.
    pub fn deposit_data(&self, vault: Address) -> DepositData {
        DepositData {
            message: deposit_message(self.public_key, vault),
            signature: self.signature,
        }
    }
}

fn deposit_message(public_key: PublicKeyBytes, vault: Address) -> DepositMessage {
    DepositMessage {
        public_key,
        withdrawal_credentials: WithdrawalCredentials::execution(vault),
        amount: VALIDATOR_DEPOSIT,
    }
}

/// What the original writes: the version of the staking-deposit-cli it is built on.
const DEPOSIT_CLI_VERSION: &str = "2.4.0";
