//! Exit signatures that were shared among other oracles: who is named, what is approved, and what is refused.

use std::time::Duration;

use alloy::primitives::{Address, Bytes, FixedBytes, U256};
use futures::future::join_all;
use serde_json::{Value, json};
use sw_devnet::{
    Devnet, DevnetConfig, VaultKind,
    chain::call,
    contracts::interface::Keeper,
    http::loopback_client,
    oracle::{Fault, OracleHandle, OracleKey},
};

use crate::{
    Answer, all_approve,
    kit::{COEFFICIENTS, DepositData, ValidatorKey, shares},
    on_devnet::{ALL, register},
};

/// Who is replaced, and by the oracle with which of the devnet's keys.
const REPLACED: usize = 1;
const LIMIT: usize = 2;

/// Three validators, with indexes 1, 3 and 4, on a network where every oracle must agree.
struct Scene {
    devnet: Devnet,
    data: DepositData,
    keys: Vec<OracleKey>,
    client: reqwest::Client,
}

const INDEXES: [u64; 3] = [1, 3, 4];

impl Scene {
    async fn start() -> Self {
        let devnet = Devnet::start(DevnetConfig {
            validators_threshold: ALL,
            rotation_batch_limit: LIMIT,
            signature_validity_period: 600,
            ..DevnetConfig::default()
        })
        .await
        .unwrap();
        let data = DepositData::new(devnet.vault(), 5, devnet.deployment().genesis_fork_version);
        devnet.set_deposit_data_root(devnet.vault(), data.root()).await.unwrap();
        devnet.stake(devnet.vault(), 4 * 32).await.unwrap();
        devnet.foreign_deposit().await.unwrap();
        let keys: Vec<_> = (0..ALL).map(OracleKey::of_devnet).collect();
        register(&devnet, &data, &keys, &[0], INDEXES[0]).await;
        devnet.foreign_deposit().await.unwrap();
        register(&devnet, &data, &keys, &[1, 2], INDEXES[1]).await;
        Self {
            devnet,
            data,
            keys,
            client: loopback_client(Duration::from_secs(30)).unwrap(),
        }
    }

    async fn replace(&mut self) {
        let old = self.devnet.oracles()[REPLACED].clone();
        let address = self.devnet.replace_oracle(REPLACED).await.unwrap();
        self.keys[REPLACED] = OracleKey::of_devnet(ALL);
        assert_eq!(address, self.keys[REPLACED].address());
        assert_eq!(self.devnet.oracles()[REPLACED].address(), address);
        assert!(
            self.client.get(&old.endpoints()[0]).send().await.is_err(),
            "the old one is down"
        );
    }

    async fn now(&self) -> u64 {
        let head = self.devnet.chain().rpc().block(None).await.unwrap().unwrap();
        head.timestamp.to()
    }

    /// A good request for validators by their place in the deposit data, whose indexes are the given ones.
    async fn request(&self, validators: &[(usize, u64)]) -> Value {
        let deployment = self.devnet.deployment();
        let each = validators.iter().map(|(key, index)| {
            let key = &self.data.keys[*key];
            let (public, sealed) = shares(deployment, &self.keys, key, &COEFFICIENTS, *index);
            (key.public_key(), public, sealed)
        });
        let each: Vec<_> = each.collect();
        json!({
            "vault_address": self.devnet.vault().to_checksum(None),
            "public_keys": each.iter().map(|(key, ..)| key).collect::<Vec<_>>(),
            "public_key_shards": each.iter().map(|(_, public, _)| public).collect::<Vec<_>>(),
            "exit_signature_shards": each.iter().map(|(.., sealed)| sealed).collect::<Vec<_>>(),
            "deadline": self.now().await + deployment.signature_validity_period,
        })
    }

    async fn ask(&self, request: &Value) -> Vec<Answer> {
        let oracles = self.devnet.oracles();
        let ask = async |oracle: &OracleHandle| {
            let url = format!("{}/signatures", oracle.endpoints()[0]);
            answer(self.client.post(url).body(request.to_string())).await
        };
        join_all(oracles.iter().map(ask)).await
    }

    async fn signatures_of(&self, vault: Address) -> Vec<Answer> {
        let oracles = self.devnet.oracles();
        let ask = async |oracle: &OracleHandle| {
            let vault = vault.to_checksum(None);
            answer(self.client.get(format!("{}/signatures/{vault}", oracle.endpoints()[0]))).await
        };
        join_all(oracles.iter().map(ask)).await
    }

    /// All oracles say this block and these indexes of the vault.
    async fn all_say(&self, block: Option<u64>, indexes: &[u64]) {
        for answer in self.signatures_of(self.devnet.vault()).await {
            assert_eq!((answer.status, answer.body), (200, said(block, indexes)));
        }
    }

    /// The Keeper takes what all approve; returns the block.
    async fn rotate(&self, validators: &[(usize, u64)]) -> u64 {
        let (deployment, chain) = (self.devnet.deployment(), self.devnet.chain());
        let request = self.request(validators).await;
        let answers = self.ask(&request).await;
        let cid = all_approve(&answers);
        let document: Value = serde_json::from_slice(&self.devnet.gateway().content(cid).unwrap()).unwrap();
        let indexes: Vec<_> = validators.iter().map(|(_, index)| index).collect();
        assert_eq!(document["validator_indexes"], json!(indexes));
        for name in [
            "public_keys",
            "public_key_shards",
            "exit_signature_shards",
            "vault_address",
        ] {
            assert_eq!(document[name], request[name]);
        }
        let signature = |(key, answer): (&OracleKey, &Answer)| -> (Address, Bytes) {
            let signature = answer.body["signature"].as_str().unwrap().parse().unwrap();
            (key.address(), signature)
        };
        let mut signed: Vec<_> = self.keys.iter().zip(&answers).map(signature).collect();
        signed.sort();
        let update = Keeper::updateExitSignaturesCall {
            vault: self.devnet.vault(),
            deadline: U256::from(request["deadline"].as_u64().unwrap()),
            exitSignaturesIpfsHash: cid.to_owned(),
            oraclesSignatures: signed.iter().flat_map(|(_, signature)| signature.to_vec()).collect(),
        };
        let update = call(chain.accounts().stranger, deployment.keeper, &update);
        chain.transact(&update).await.unwrap().block_number.to()
    }

    async fn recoverable(&self) -> Vec<(u64, usize)> {
        let found = self.devnet.recoverable(self.devnet.vault()).await.unwrap();
        found.iter().map(|each| (each.index, each.by)).collect()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        body: response.json().await.unwrap(),
    }
}

fn said(block: Option<u64>, indexes: &[u64]) -> Value {
    let validators: Vec<_> = indexes.iter().map(|index| json!({ "index": index })).collect();
    json!({ "exit_signature_block_number": block, "validators": validators })
}

fn all_refuse(answers: &[Answer], detail: &str) {
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(answer.detail(), detail, "oracle {place}");
    }
}

#[tokio::test]
async fn after_an_oracle_is_replaced_all_are_rotated_and_every_threshold_recovers_them_again() {
    let mut scene = Scene::start().await;
    let [first, second, third] = [(0, 1), (1, 3), (2, 4)];
    let by_all = |indexes: &[u64]| indexes.iter().map(|index| (*index, ALL)).collect::<Vec<_>>();
    scene.all_say(None, &[]).await;
    assert_eq!(scene.recoverable().await, by_all(&INDEXES));
    let early = scene.ask(&scene.request(&[first]).await).await;
    all_refuse(&early, "the exit signature of validator 0 is not outdated");

    scene.replace().await;
    scene.all_say(None, &INDEXES).await;
    assert_eq!(scene.recoverable().await, [], "the new oracle holds no share");

    let block = scene.rotate(&[second, first]).await;
    scene.all_say(Some(block), &[third.1]).await;
    assert_eq!(scene.recoverable().await, by_all(&[1, 3]));

    let leaving = scene.data.keys[third.0].public_key();
    scene.devnet.beacon().set_status(leaving, Some("active_exiting"));
    scene.all_say(Some(block), &[]).await;
    let needless = scene.ask(&scene.request(&[third]).await).await;
    all_refuse(&needless, "validator 0 is active_exiting");
    scene.devnet.beacon().set_status(leaving, None);

    let block = scene.rotate(&[third]).await;
    scene.all_say(Some(block), &[]).await;
    assert_eq!(scene.recoverable().await, by_all(&INDEXES));
    assert_eq!(scene.devnet.oracles()[REPLACED].rotations().len(), 3);
    assert_eq!(scene.devnet.oracles()[ALL - 1].rotations().len(), 4);

    register(&scene.devnet, &scene.data, &scene.keys, &[3], 5).await;
    scene.all_say(Some(block), &[]).await;
    assert_eq!(scene.recoverable().await, by_all(&[1, 3, 4, 5]));

    let mut config = scene.devnet.protocol_config();
    config["oracles"][0]["public_key"] = json!(OracleKey::of_devnet(99).public_key());
    scene.devnet.update_config(&config).await.unwrap();
    // The Keeper does not know all of them.
    scene.all_say(Some(block), &[]).await;
    let mut config = scene.devnet.protocol_config();
    config["exit_signature_recover_threshold"] = json!(4);
    scene.devnet.update_config(&config).await.unwrap();
    scene.all_say(Some(block), &[1, 3, 4, 5]).await;
}

/// Makes a good request for the first two validators wrong.
type Spoil = fn(&Scene, &mut Value);

/// What is wrong for every oracle, and what all of them say to it.
fn wrong() -> Vec<(&'static str, Spoil)> {
    let another_polynomial = |scene: &Scene, request: &mut Value| {
        let others = ["coefficient 1", "coefficient 2", "coefficient 3"];
        let (public, sealed) = shares(scene.devnet.deployment(), &scene.keys, &scene.data.keys[1], &others, 3);
        request["public_key_shards"][1] = public;
        request["exit_signature_shards"][1] = sealed;
    };
    let another_index = |scene: &Scene, request: &mut Value| {
        let key = &scene.data.keys[0];
        let (_, sealed) = shares(scene.devnet.deployment(), &scene.keys, key, &COEFFICIENTS, 2);
        request["exit_signature_shards"][0] = sealed;
    };
    vec![
        (
            "the exit signature shard of validator 0 does not match its public key shard",
            another_index,
        ),
        (
            "the public key shards of validator 1 are not on one polynomial of the threshold's degree",
            another_polynomial,
        ),
        ("validator 1 is none of this vault", |_, request| {
            request["public_keys"][1] = json!(ValidatorKey::new("nobody").public_key());
        }),
        ("validator 0 is none of this vault", |scene, request| {
            // In the deposit data, and not deposited.
            request["public_keys"][0] = json!(scene.data.keys[4].public_key());
        }),
        (
            "vault 0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB is not in the vaults registry",
            |_, request| {
                request["vault_address"] = json!(Address::repeat_byte(0xab).to_checksum(None));
            },
        ),
        ("3 validators are over the batch limit of 2", |_, request| {
            for name in ["public_keys", "public_key_shards", "exit_signature_shards"] {
                let list = request[name].as_array_mut().unwrap();
                list.push(list[0].clone());
            }
        }),
        ("a public key is in the request twice", |_, request| {
            request["public_keys"][1] = request["public_keys"][0].clone();
        }),
        ("there are no validators in the request", |_, request| {
            for name in ["public_keys", "public_key_shards", "exit_signature_shards"] {
                request[name] = json!([]);
            }
        }),
        ("the deadline has passed", |_, request| request["deadline"] = json!(1)),
        (
            "the deadline is further away than the signature validity period",
            |_, request| request["deadline"] = json!(request["deadline"].as_u64().unwrap() + 600),
        ),
    ]
}

#[tokio::test]
async fn a_rotation_that_is_wrong_is_refused_by_all_oracles_in_the_same_words() {
    let mut scene = Scene::start().await;
    scene.replace().await;
    let good = scene.request(&[(0, 1), (1, 3)]).await;
    for (detail, spoil) in wrong() {
        let mut request = good.clone();
        spoil(&scene, &mut request);
        all_refuse(&scene.ask(&request).await, detail);
    }

    let mut made_before = good.clone();
    made_before["deadline"] = json!(good["deadline"].as_u64().unwrap() - 300);
    all_refuse(
        &scene.ask(&made_before).await,
        "the deadline is that of a request which is older than the present set of oracles",
    );

    let idle = scene.devnet.create_vault(VaultKind::DepositData).await.unwrap();
    let mut request = good.clone();
    request["vault_address"] = json!(idle.to_checksum(None));
    let refused = scene.ask(&request).await;
    all_refuse(
        &refused,
        &format!("vault {idle} has no validators that the Keeper knows of"),
    );

    for spoil in [
        |request: &mut Value| request["validator_index"] = json!(1),
        |request: &mut Value| {
            request["vault_address"] = json!(request["vault_address"].as_str().unwrap().to_lowercase());
        },
        |request: &mut Value| drop(request.as_object_mut().unwrap().remove("deadline")),
        |request: &mut Value| request["exit_signature_shards"][0][0] = json!("0x00"),
    ] {
        let mut request = good.clone();
        spoil(&mut request);
        for answer in scene.ask(&request).await {
            assert!(answer.detail().starts_with("malformed request: "), "{}", answer.body);
        }
    }
    let oracles = scene.devnet.oracles();
    let before: usize = oracles.iter().map(|oracle| oracle.approvals().len()).sum();
    all_approve(&scene.ask(&good).await);
    let after: usize = oracles.iter().map(|oracle| oracle.approvals().len()).sum();
    assert_eq!(after, before + ALL, "nothing wrong was approved");
}

#[tokio::test]
async fn the_node_oracle_can_be_replaced_and_a_place_that_nobody_has_cannot() {
    let devnet = Devnet::start(DevnetConfig {
        oracles: 2,
        validators_threshold: 1,
        recover_threshold: 1,
        ..DevnetConfig::default()
    })
    .await
    .unwrap();
    let [rust, node] = [0, 1].map(|place| devnet.oracles()[place].address());
    assert_eq!(devnet.node_oracle_address(), Some(node));
    let newcomer = devnet.replace_oracle(1).await.unwrap();
    assert_eq!(devnet.node_oracle_address(), None);
    let oracles: Vec<_> = devnet.oracles().iter().map(OracleHandle::address).collect();
    assert_eq!(oracles, [rust, newcomer]);
    assert_eq!(devnet.retired_oracles()[0].address(), node);
    let keeper = devnet.deployment().keeper;
    for (oracle, is) in [(rust, true), (newcomer, true), (node, false)] {
        let question = Keeper::isOracleCall { oracle };
        assert_eq!(devnet.chain().read(keeper, &question).await.unwrap(), is);
    }
    let nobody = devnet.replace_oracle(2).await.unwrap_err();
    assert_eq!(nobody.to_string(), "there is no oracle at place 2, counted from 0");
    // The newcomer follows the config that names it, and so a further one.
    assert_ne!(devnet.replace_oracle(1).await.unwrap(), newcomer);
}

#[tokio::test]
async fn oracles_lie_about_outdated_exits_and_spoil_their_approvals_of_a_rotation() {
    let mut scene = Scene::start().await;
    scene.replace().await;
    let node = ALL - 1;
    let handle = |place: usize| scene.devnet.oracles().swap_remove(place);
    let vault = scene.devnet.vault();
    handle(0).set_fault(Fault::Outdated(vec![7, 1_000_000]));
    handle(REPLACED).set_fault(Fault::SyncedTo(Some(9)));
    handle(2).set_fault(Fault::Refuse("out of office".to_owned()));
    handle(node).set_fault(Fault::Outdated(Vec::new()));
    let answers = loop {
        // The Node oracle hears of its fault a moment later.
        let answers = scene.signatures_of(vault).await;
        if answers[node].body == said(None, &[]) {
            break answers;
        }
    };
    assert_eq!(answers[0].body, said(None, &[7, 1_000_000]));
    assert_eq!(answers[REPLACED].body, said(Some(9), &INDEXES));
    assert_eq!(answers[2].detail(), "out of office");
    assert_eq!(answers[3].body, said(None, &INDEXES));

    let request = scene.request(&[(0, 1)]).await;
    handle(2).set_fault(Fault::None);
    let good = scene.ask(&request).await;
    all_approve(&good);
    handle(0).set_fault(Fault::WrongCid);
    handle(REPLACED).set_fault(Fault::WrongDeadline);
    handle(2).set_fault(Fault::BadSignature);
    handle(3).set_fault(Fault::Replayed);
    let bad = scene.ask(&request).await;
    assert_ne!(bad[0].cid(), good[0].cid());
    assert_eq!(
        bad[REPLACED].body["deadline"],
        request["deadline"].as_u64().unwrap() + 1
    );
    assert_eq!(bad[2].cid(), good[2].cid());
    assert_ne!(bad[2].body["signature"], good[2].body["signature"]);
    assert_eq!(bad[3].body, good[3].body, "the first rotation it approved");
    assert_eq!(bad[node].body, good[node].body);
    let key: FixedBytes<48> = scene.data.keys[0].public_key();
    let exits = handle(node).recovered_exits();
    assert!(
        exits
            .iter()
            .any(|exit| exit.public_key == key && exit.validator_index == 1)
    );
}
