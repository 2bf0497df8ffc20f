//! Signing.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::TxKind,
    signers::{SignerSync, local::PrivateKeySigner},
};
use alloy_primitives::{B256, Bytes};
use sw_spec::PublicKeyBytes;

use super::{Fees, Inner, SendError, SentTx};
use crate::{Call, EntryState, JournalEntry};

pub(super) struct Signed {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}

impl Inner {
    /// Signs an EIP-1559 transaction. The limit holds for what is signed, whoever computed the fees.
    pub(super) fn sign(&self, nonce: u64, gas_limit: u64, fees: Fees, call: &Call) -> Result<Signed, SendError> {
        let limit = self.limits.max_fee_per_gas;
        if fees.max_fee_per_gas > limit {
            return Err(SendError::Fees(super::FeeError::AboveLimit {
                needed: fees.max_fee_per_gas,
                limit,
            }));
        }
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: TxKind::Call(call.to),
            value: call.value,
            access_list: Default::default(),
            input: call.data.clone(),
        };
        sign(&self.signer, transaction)
    }

    pub(super) fn entry(&self, sent: &SentTx, keys: &[PublicKeyBytes], raw: Bytes, head: u64) -> JournalEntry {
        JournalEntry {
            kind: sent.kind.clone(),
            keys: keys.to_vec(),
            cancels: false,
            from: self.signer.address(),
            chain_id: self.chain_id,
            nonce: sent.nonce,
            hash: sent.hash,
            max_fee_per_gas: sent.fees.max_fee_per_gas,
            max_priority_fee_per_gas: sent.fees.max_priority_fee_per_gas,
            signed_at: Some(head),
            raw,
            state: EntryState::Intended,
        }
    }
}

fn sign(signer: &PrivateKeySigner, transaction: TxEip1559) -> Result<Signed, SendError> {
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .map_err(|_| SendError::NotSigned)?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    Ok(Signed {
        hash: *envelope.tx_hash(),
        raw: envelope.encoded_2718().into(),
    })
}

#[cfg(test)]
mod tests {
    use alloy::{consensus::transaction::SignerRecoverable, eips::eip2718::Decodable2718};
    use alloy_primitives::{U256, address, keccak256};
    use sw_testkit::{array, fixture, text};

    use super::*;
    use crate::calls::keeper_update_exit_signatures;

    /// The transaction that eth-account signs in original-v1 16.9, by its signature.
    #[test]
    fn the_signed_transaction_is_the_one_that_other_software_signs() {
        let vectors = fixture("original-v1.json");
        let signer = PrivateKeySigner::from_slice(&array::<32>(&vectors["wallet"]["key"])).expect("a key");
        assert_eq!(signer.address().to_string(), text(&vectors["wallet"]["address"]));
        let vault = text(&vectors["vault"]).parse().expect("an address");
        let transaction = TxEip1559 {
            chain_id: 1,
            nonce: 7,
            gas_limit: 200_000,
            max_fee_per_gas: 5_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(address!("6B5815467da09DaA7DC83Db21c9239d98Bb487b5")),
            input: keeper_update_exit_signatures(vault, 5, "Qm", &[1; 65]),
            ..TxEip1559::default()
        };
        let signed = sign(&signer, transaction).expect("signs");
        assert!(hex::encode(&signed.raw).starts_with("02f901b20107843b9aca0085012a05f20083030d40946b58"));
        assert_eq!(signed.hash, keccak256(&signed.raw));
        let envelope = TxEnvelope::decode_2718(&mut signed.raw.as_ref()).expect("decodes");
        assert_eq!(envelope.recover_signer().expect("recovers"), signer.address());
        let signature = envelope.signature();
        let word = |text: &str| text.parse::<U256>().expect("a number");
        assert_eq!(
            signature.r(),
            word("0xe715a94fe369fa27031ff47a4b6700d8097cdbde81923ce15cae48677fa2b450")
        );
        assert_eq!(
            signature.s(),
            word("0x2ac4dd3588211c13514f9fc3baf16226c8f43a18463c6a642553a056cda0c70c")
        );
        assert!(!signature.v());
    }
}
