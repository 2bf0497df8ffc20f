//! What a person can do when a contract refuses, by the name of its error.

use sw_chain_client::Revert;

/// What to do about a refusal, where a person can do something or should know that time will.
pub fn remedy(revert: &Revert) -> Option<&'static str> {
    let name = revert.name.as_deref()?;
    if name == "Error" {
        let text = revert.detail.as_deref().unwrap_or_default();
        let (_, remedy) = REMEDIES_OF_TEXTS.iter().find(|(part, _)| text.contains(part))?;
        return Some(remedy);
    }
    let (_, remedy) = REMEDIES.iter().find(|(errors, _)| errors.contains(&name))?;
    Some(remedy)
}

/// Errors that the vault, the Keeper, the DepositDataRegistry, the MEV escrow and the VaultsRegistry refuse a registration, a
/// harvest or a rotation with.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["NotHarvested"],
        "the vault must be harvested first, which a registration does by itself when the rewards file can be fetched; name \
         more gateways in `--ipfs-fetch-endpoints` if this repeats",
    ),
    (
        &["InvalidProof", "MerkleProofInvalidMultiproof"],
        "the vault's deposit data root or index moved, or the rewards did; the next tick reads them again. If this repeats, \
         `operator deposit-data verify` with `--execution-endpoints` compares the file with what is uploaded",
    ),
    (
        &["DeadlineExpired"],
        "the approvals came too late and new ones are asked for; if this repeats, look at which oracles are slow in the log \
         at debug level",
    ),
    (
        &["InvalidOracle", "NotEnoughSignatures", "InvalidSignatures"],
        "the Keeper's oracle set changed since it was read; it is read again before every registration",
    ),
    (
        &[
            "ECDSAInvalidSignature",
            "ECDSAInvalidSignatureLength",
            "ECDSAInvalidSignatureS",
        ],
        "an oracle's signature is not one, although it was checked: report this with the log",
    ),
    (
        &["InvalidValidatorsRegistryRoot"],
        "somebody deposited meanwhile, so the approvals no longer hold; new ones are asked for",
    ),
    (
        &["AccessDenied"],
        "the VaultsRegistry must list the vault and, from version 2 on, the vault's admin must have made the \
         DepositDataRegistry its validators manager with setValidatorsManager",
    ),
    (
        &["InvalidVault"],
        "the vault is not one that the contract serves: compare `--vault` and `--network` with the vault's page",
    ),
    (
        &[
            "InsufficientAssets",
            "InvalidAssets",
            "InsufficientBalance",
            "AddressInsufficientBalance",
        ],
        "the vault's assets were taken out meanwhile, as by its exit queue; they are counted again at the next tick",
    ),
    (
        &["InvalidValidator", "InvalidValidators"],
        "the vault takes other validator records than these: create the deposit data again with `operator create-keys` and \
         upload its root",
    ),
    (
        &["InvalidRewardsRoot", "RewardsNonceIsHigher"],
        "the oracles voted on newer rewards meanwhile; they are read at the next tick",
    ),
    (
        &["HarvestFailed"],
        "the shared MEV escrow pays only vaults in the VaultsRegistry: compare `--vault` and `--network` with the vault's page",
    ),
    (
        &["NotCollateralized"],
        "the vault has no validator yet; register one first",
    ),
    (
        &["Collateralized"],
        "the vault has a validator already, and what was tried is for vaults without one",
    ),
    (
        &["ExitRequestNotProcessed", "ClaimTooEarly", "TooEarlyUpdate"],
        "it is too early for this; it is tried again at the next tick",
    ),
    (
        &["AddressEmptyCode", "FailedCall", "FailedInnerCall"],
        "a contract that was called is not there or failed without a reason: compare the addresses in the network's file with \
         those of `operator network show`",
    ),
    (
        &["ReentrancyGuardReentrantCall"],
        "another call of the vault was under way; it is tried again at the next tick",
    ),
];

/// Texts of the deposit contract, which has no custom errors.
const REMEDIES_OF_TEXTS: &[(&str, &str)] = &[(
    "supplied deposit_data_root",
    "the deposit data was made for another vault, network or amount: create it again with `operator create-keys` and upload \
     its root",
)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sw_chain_client::decode_revert;
    use sw_testkit::{bytes, fixture, text};

    use super::*;

    #[test]
    fn the_errors_that_a_person_meets_say_what_to_do_and_each_is_one_of_the_contracts() {
        let fixture = fixture("custom_errors.json");
        let mut with_remedy = BTreeSet::new();
        for error in fixture["errors"].as_array().expect("a list") {
            let revert = decode_revert(&bytes(&error["data"]));
            if remedy(&revert).is_some() {
                with_remedy.insert(text(&error["error"]).split('(').next().unwrap_or_default().to_owned());
            }
        }
        let named: BTreeSet<String> = REMEDIES
            .iter()
            .flat_map(|(errors, _)| errors.iter().map(|error| (*error).to_owned()))
            .collect();
        assert_eq!(with_remedy, named);
        assert_eq!(named.len(), 31);
    }

    #[test]
    fn a_wrong_deposit_data_root_is_told_by_the_deposit_contracts_own_words() {
        let text = "DepositContract: reconstructed DepositData does not match supplied deposit_data_root";
        let revert = Revert {
            name: Some("Error".to_owned()),
            detail: Some(text.to_owned()),
            data: Default::default(),
        };
        assert!(remedy(&revert).is_some_and(|remedy| remedy.contains("create-keys")));
        assert_eq!(remedy(&decode_revert(&[])), None);
    }
}
