//! Vaults of version 1, and where a root is uploaded.

use sw_chain_client::{HarvestParams, I160, U160, calls};
use sw_registration::{Duty, Harvest, Outcome};
use sw_spec::{Address, B256, U256};
use sw_testkit::fixture;

use crate::{ETH, VAULT, World, duty, idle};

fn make_v1(world: &mut World) {
    world.vault.version = 1;
    world.vault.validators_manager = None;
    world.vault.has_manager_nonce = false;
}

#[tokio::test]
async fn a_vault_of_version_1_gets_the_proof_itself_for_one_key_and_for_several() {
    let vectors = fixture("original-v1.json");
    let at = |data: &[u8], part: &[u8]| data.windows(part.len()).position(|window| window == part);
    // `registerValidator` and `registerValidators` of a vault of version 1, as the original calls them.
    for (assets, keys, selector) in [(33, 1, "f5e9de4d"), (70, 2, "ef2a2158")] {
        let (mut duty, world, tree) = duty();
        {
            let mut world = world.lock().unwrap();
            make_v1(&mut world);
            world.state.withdrawable_assets = U256::from(assets * ETH);
        }
        assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
        let world = world.lock().unwrap();
        let (sent_keys, call) = &world.sent[0];
        assert_eq!((call.to, call.value, sent_keys.len()), (VAULT, U256::ZERO, keys));
        assert_eq!(hex::encode(&call.data[..4]), selector);
        let record = tree.multiproof(&[1]).unwrap().validators;
        assert!(at(&call.data, &record).is_some(), "the record of the first key");
        if keys == 2 {
            // Keys 1 and 2 are a selection of the vectors: `indexes` are places in the proof, not those in the file.
            let several = &vectors["multiproofs"]["1,2"]["indexes"];
            let words = several.as_array().unwrap().iter().map(|word| word.as_u64().unwrap());
            let words: Vec<u8> = words.flat_map(|word| U256::from(word).to_be_bytes::<32>()).collect();
            assert!(at(&call.data, &words).is_some(), "{several}");
        }
    }
}

#[tokio::test]
async fn a_harvest_of_a_vault_of_version_1_goes_first_in_the_vaults_own_multicall() {
    let (mut duty, world, _) = duty();
    let params = HarvestParams {
        rewards_root: B256::repeat_byte(3),
        reward: I160::try_from(5).unwrap(),
        unlocked_mev_reward: U160::from(0),
        proof: Vec::new(),
    };
    {
        let mut world = world.lock().unwrap();
        make_v1(&mut world);
        world.state.can_harvest = true;
        world.state.harvest_required = true;
        world.harvest = Some(Harvest {
            params: params.clone(),
            withdrawable_assets: U256::from(32 * ETH),
        });
    }
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
    let world = world.lock().unwrap();
    let (call, update) = (&world.sent[0].1, calls::vault_update_state(&params));
    assert_eq!((call.to, hex::encode(&call.data[..4])), (VAULT, "ac9650d8".to_owned()));
    let at = |part: &[u8]| call.data.windows(part.len()).position(|window| window == part);
    assert!(
        at(&update).expect("updateState inside") < at(&[0xf5, 0xe9, 0xde, 0x4d]).expect("registerValidator inside")
    );
}

#[tokio::test]
async fn who_must_upload_a_root_and_how_depends_on_where_the_vault_keeps_it() {
    for (version, upload) in [(1, "setValidatorsRoot("), (5, "setDepositDataRoot(")] {
        let (mut duty, world, tree) = duty();
        {
            let mut world = world.lock().unwrap();
            world.vault.version = version;
            world.state.deposit_data_root = B256::ZERO;
        }
        let why = idle(duty.tick().await).to_string();
        let told = [
            tree.root().to_string(),
            Address::repeat_byte(2).to_string(),
            upload.to_owned(),
        ];
        assert!(told.iter().all(|part| why.contains(part)), "{why}");
    }
}
