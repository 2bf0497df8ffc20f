//! Validators that leave: by a beacon node that holds to the rules, in the words of five clients.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use alloy_primitives::{B256, FixedBytes};
use serde_json::Value;
use sw_chain_client::{ConsensusClient, ConsensusOptions, ExitOutcome, ExitRefusal, ExitSeen};
use sw_devnet::{
    Devnet, DevnetConfig,
    beacon::BeaconClient,
    http::loopback_client,
    person::{Answer, Person},
    proxy::{Act, Rule},
};
use sw_key_ops::{KeystoreKeys, KnownValidator, sign_exit};
use sw_signers::LocalSigner;
use sw_spec::{Epoch, ForkVersion, NetworkSpec, SignedVoluntaryExit, ValidatorStatus};
use sw_vault_dir::{KeystoreIndex, Opening, PasswordSource, VaultDir};

use crate::setup::{PATIENCE, STOP, small};

const POST_EXIT: &str = "POST /eth/v1/beacon/pool/voluntary_exits";

/// A vault whose validators are at work, and a person who has their keys.
struct Vault {
    devnet: Devnet,
    person: Person,
    /// In the order of their indexes.
    keys: Vec<FixedBytes<48>>,
    home: tempfile::TempDir,
}

impl Vault {
    async fn with_validators(count: usize, config: DevnetConfig) -> Self {
        let devnet = Devnet::start(config).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let operator = Path::new(env!("CARGO_BIN_EXE_operator"));
        let person = Person::new(operator, home.path(), devnet.vault().to_string(), &devnet);
        let mnemonic = person.init(devnet.network_file()).await.unwrap();
        person.create_keys(&mnemonic, count).await.unwrap();
        let deposits = fs::read(person.vault_dir().join("deposit_data.json")).unwrap();
        let deposits: Vec<Value> = serde_json::from_slice(&deposits).unwrap();
        let hex = |deposit: &Value, name: &str| deposit[name].as_str().unwrap().to_owned();
        for deposit in &deposits {
            let (key, signature) = (hex(deposit, "pubkey").parse().unwrap(), hex(deposit, "signature"));
            let credentials = hex(deposit, "withdrawal_credentials").parse().unwrap();
            let (chain, signature) = (devnet.chain(), signature.parse().unwrap());
            let deposited = chain.deposit(&key, credentials, &signature, 32_000_000_000).await;
            deposited.unwrap();
        }
        let keys = deposits
            .iter()
            .map(|deposit| hex(deposit, "pubkey").parse().unwrap())
            .collect();
        let vault = Self {
            devnet,
            person,
            keys,
            home,
        };
        // Active two epochs after the one behind the deposit's.
        vault.devnet.mine(4 * 4).await.unwrap();
        // From here on time passes when a test says so.
        vault.devnet.pause_mining().await.unwrap();
        let all: Vec<u64> = (0..count as u64).collect();
        let states = vault.client().validators_by_index(&all).await.unwrap();
        assert_eq!(states.len(), count);
        assert!(
            states
                .iter()
                .all(|state| state.status == ValidatorStatus::ActiveOngoing),
            "{states:?}"
        );
        vault
    }

    fn client(&self) -> ConsensusClient {
        let options = ConsensusOptions {
            retry_budget: Duration::from_secs(5),
            genesis: Some((&self.network()).into()),
            ..ConsensusOptions::default()
        };
        let url = self.devnet.consensus_url().parse().unwrap();
        ConsensusClient::new(loopback_client(Duration::from_secs(10)).unwrap(), vec![url], options)
    }

    fn network(&self) -> NetworkSpec {
        NetworkSpec::from_toml(&fs::read_to_string(self.devnet.network_file()).unwrap()).unwrap()
    }

    /// The network's file with something else in it.
    fn other_network(&self, change: impl Fn(&mut NetworkSpec)) -> String {
        let mut network = self.network();
        change(&mut network);
        let path = self.home.path().join("other-network.toml");
        fs::write(&path, network.to_toml()).unwrap();
        path.display().to_string()
    }

    async fn exit(&self, arguments: &[&str], typed: &str) -> Answer {
        let all: Vec<&str> = ["validators-exit", "--vault", &self.person.vault]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.person.run(&all, typed).await.unwrap()
    }

    /// The keystores as the command opens them.
    fn signer(&self) -> LocalSigner<KeystoreKeys> {
        let keystores = self.person.vault_dir().join("keystores");
        let passwords = PasswordSource {
            shared: Some(keystores.join("password.txt")),
            dir: keystores.clone(),
        };
        let index = KeystoreIndex::scan(&keystores, passwords).unwrap();
        LocalSigner::new(KeystoreKeys::new(index, Opening::default()))
    }

    /// An exit for any network and index, with any of the keys.
    fn to_sign(&self, by: usize, index: u64) -> KnownValidator {
        KnownValidator {
            index,
            public_key: self.keys[by].0.into(),
            status: ACTIVE,
            activation_epoch: Epoch(0),
            withdrawal_credentials: B256::ZERO,
        }
    }

    async fn statuses(&self) -> Vec<ValidatorStatus> {
        let all: Vec<u64> = (0..self.keys.len() as u64).collect();
        let mut states = self.client().validators_by_index(&all).await.unwrap();
        states.sort_by_key(|state| state.index);
        states.iter().map(|state| state.status).collect()
    }

    fn accepted(&self) -> Vec<u64> {
        self.devnet.beacon().exits().iter().map(|exit| exit.index).collect()
    }
}

fn ended(answer: &Answer, code: i32, says: &[&str]) {
    assert_eq!(answer.status.code(), Some(code), "{}", answer.said);
    for text in says {
        assert!(answer.said.contains(text), "no `{text}` in:\n{}", answer.said);
    }
}

/// Index, outcome and reason of each validator.
fn outcomes(answer: &Answer) -> Vec<(u64, String, String)> {
    let document: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(document["schema"], "operator.validators-exit.v1");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let validators = document["validators"].as_array().unwrap().iter();
    validators
        .map(|each| {
            (
                each["index"].as_u64().unwrap(),
                text(&each["outcome"]),
                text(&each["reason"]),
            )
        })
        .collect()
}

fn of(index: u64, outcome: &str, reason: &str) -> (u64, String, String) {
    (index, outcome.to_owned(), reason.to_owned())
}

const ACTIVE: ValidatorStatus = ValidatorStatus::ActiveOngoing;
const EXITING: ValidatorStatus = ValidatorStatus::ActiveExiting;

#[tokio::test]
async fn two_of_three_validators_exit_and_the_third_stays_until_it_is_asked_for() {
    let vault = Vault::with_validators(3, small()).await;

    let dry = vault.exit(&["--dry-run", "--count", "2"], "").await;
    ended(&dry, 0, &[]);
    assert_eq!(dry.out, "Validators 0, 1 would be exited\n");
    let declined = vault.exit(&[], "\n").await;
    ended(
        &declined,
        1,
        &[
            "exit 3 validators with indexes: 0, 1, 2? [y/N]: ",
            "declined; nothing was sent",
        ],
    );
    let foreign = vault.exit(&["--no-confirm", "--indexes", "1,7"], "").await;
    ended(
        &foreign,
        1,
        &["validator 7: none of the keys is its key", "nothing was sent"],
    );
    assert_eq!(vault.accepted(), [0_u64; 0]);

    let answer = vault.exit(&["--count", "2"], "y\n").await;
    ended(
        &answer,
        0,
        &["Are you sure you want to exit 2 validators with indexes: 0, 1? [y/N]: "],
    );
    assert_eq!(answer.out, "Validators 0, 1 exits successfully initiated\n");
    let epoch = vault.network().capella_epoch.0;
    let accepted = vault.devnet.beacon().exits();
    assert!(accepted.iter().all(|exit| exit.epoch == epoch), "{accepted:?}");
    // Until a block holds them, they are in the pool.
    let again = vault.exit(&["--count", "2", "--dry-run"], "").await;
    assert_eq!(again.out, "Validators 2 would be exited\n");
    vault.devnet.mine(1).await.unwrap();
    assert_eq!(vault.statuses().await, [EXITING, EXITING, ACTIVE]);

    let rest = vault.exit(&["--no-confirm", "--json"], "").await;
    ended(&rest, 0, &["Left out, it exits already: 0, 1"]);
    assert_eq!(
        outcomes(&rest),
        [
            of(2, "accepted", ""),
            of(0, "left_out", "it exits already"),
            of(1, "left_out", "it exits already")
        ]
    );
    vault.devnet.mine(1).await.unwrap();
    assert_eq!(
        (vault.accepted(), vault.statuses().await),
        (vec![0, 1, 2], vec![EXITING; 3])
    );
    let nothing = vault.exit(&["--no-confirm"], "").await;
    ended(&nothing, 0, &["No validator can be exited now."]);
    assert_eq!(nothing.out, "");
    // Run again as it was, it is done.
    let gone = vault.exit(&["--no-confirm", "--indexes", "2"], "").await;
    ended(
        &gone,
        0,
        &["Left out, it exits already: 0, 1, 2", "No validator can be exited now."],
    );
    let drawer = vault.home.path().join("drawer.json");
    let empty = vault
        .exit(&["--json", "--output", &drawer.display().to_string()], "")
        .await;
    ended(&empty, 0, &["No validator can be exited now."]);
    let document: Value = serde_json::from_str(&empty.out).unwrap();
    assert_eq!((&document["output"], drawer.exists()), (&Value::Null, false));
}

#[tokio::test]
async fn a_validator_that_is_too_young_or_another_s_is_named_and_left_out() {
    let config = DevnetConfig {
        shard_committee_period: 256,
        ..small()
    };
    let vault = Vault::with_validators(1, config).await;
    let from = vault.client().validators_by_index(&[0]).await.unwrap()[0]
        .activation_epoch
        .0
        + 256;
    let young = format!("it may exit from epoch {from} on");
    ended(
        &vault.exit(&["--no-confirm"], "").await,
        0,
        &["Left out", &young, "No validator can be exited now."],
    );
    ended(
        &vault.exit(&["--no-confirm", "--indexes", "0"], "").await,
        1,
        &["validator 0: ", &young],
    );
    // The same keys, said to be of a vault that the stake does not go to.
    let elsewhere = "0x3320ad928c20187602a2b2c04eeaa813fa899468";
    let (keystores, file) = (vault.person.vault_dir().join("keystores"), vault.devnet.network_file());
    let arguments = [
        "validators-exit",
        "--vault",
        elsewhere,
        "--keystores-dir",
        &keystores.display().to_string(),
        "--network-config",
        &file.display().to_string(),
        "--no-confirm",
        "--indexes",
        "0",
    ];
    let answer = vault.person.run(&arguments, "").await.unwrap();
    ended(&answer, 6, &["validator 0: its stake is not paid out to the vault"]);
    assert_eq!(vault.accepted(), [0_u64; 0]);
}

#[tokio::test]
async fn what_every_client_refuses_is_told_in_its_words_and_what_it_takes_reaches_the_chain() {
    let vault = Vault::with_validators(6, small()).await;
    let (network, client, signer) = (vault.network(), vault.client(), vault.signer());
    let signed = async |by, index, network: &NetworkSpec| {
        let validator = vault.to_sign(by, index);
        sign_exit(&signer, &validator, network).await.unwrap()
    };
    let other_fork = NetworkSpec {
        capella_fork_version: ForkVersion([9; 4]),
        ..network.clone()
    };
    let later = NetworkSpec {
        capella_epoch: Epoch(1_000_000),
        ..network.clone()
    };
    for (place, kind) in BeaconClient::ALL.into_iter().enumerate() {
        vault.devnet.beacon().set_client(kind);
        let index = place as u64;
        let mut wrong = vec![
            ("fork", signed(place, index, &other_fork).await),
            ("index", signed(place, 99, &network).await),
            ("signature", signed(5, index, &network).await),
        ];
        // Prysm takes an exit that is valid later.
        if kind != BeaconClient::Prysm {
            wrong.push(("epoch", signed(place, index, &later).await));
        }
        for (what, exit) in wrong {
            let refusal = refusal(&client, &exit).await;
            let status = if kind == BeaconClient::Lodestar { 500 } else { 400 };
            assert_eq!(refusal.status, status, "{kind:?}, {what}: {refusal}");
            let words = words(kind, what);
            assert!(
                refusal.message.contains(words),
                "{kind:?}, {what}: no `{words}` in `{refusal}`"
            );
            assert!(
                !refusal.message.contains(['\n', '{']) || words.contains('{'),
                "{refusal}"
            );
        }
        let right = signed(place, index, &network).await;
        let taken = client.submit_exit(&right).await.unwrap();
        assert!(
            matches!(&taken, ExitOutcome::Accepted { refusals, .. } if refusals.is_empty()),
            "{kind:?}: {taken:?}"
        );
        // Two clients take it once more, the others say that they have it.
        let again = client.submit_exit(&right).await.unwrap();
        let known = ExitSeen::Pool;
        let is_known = matches!(&again, ExitOutcome::AlreadyKnown { seen, .. } if *seen == known);
        let takes_again = matches!(kind, BeaconClient::Lighthouse | BeaconClient::Prysm);
        assert_eq!(is_known, !takes_again, "{kind:?}: {again:?}");
        assert!(again.is_under_way());
        assert_eq!(client.pool_exits().await.unwrap(), [right], "{kind:?}");
        vault.devnet.mine(1).await.unwrap();
        assert_eq!(vault.statuses().await[place], EXITING, "{kind:?}");
        if !takes_again {
            let late = client.submit_exit(&right).await.unwrap();
            assert!(
                matches!(
                    &late,
                    ExitOutcome::AlreadyKnown {
                        seen: ExitSeen::Status(EXITING),
                        ..
                    }
                ),
                "{kind:?}: {late:?}"
            );
        }
    }
    // All read alike, in old versions and without the list by POST.
    for kind in BeaconClient::ALL {
        for old in [false, true] {
            vault.devnet.beacon().set_client(kind);
            vault.devnet.beacon().set_old(old);
            let client = vault.client();
            let states = client.validators_by_index(&[5, 0, 5, 77]).await.unwrap();
            let mut read: Vec<_> = states.iter().map(|state| (state.index, state.status)).collect();
            read.sort_unstable();
            assert_eq!(read, [(0, EXITING), (5, ACTIVE)], "{kind:?}, old {old}");
            let keys = [vault.keys[0].0.into(), [7; 48].into()];
            assert_eq!(client.validators(&keys).await.unwrap().len(), 1, "{kind:?}");
            assert!(
                client.syncing().await.iter().all(|status| status.is_ready()),
                "{kind:?}"
            );
            let spec = client.chain_spec().await.unwrap();
            assert_eq!(
                (spec.capella_fork_version, spec.capella_fork_epoch, spec.slots_per_epoch),
                (network.capella_fork_version, network.capella_epoch, 4)
            );
            assert!(client.finality().await.unwrap().finalized.epoch.0 > 0, "{kind:?}");
            client.fork().await.unwrap();
            let refusal = refusal(&client, &signed(0, 5, &network).await).await;
            assert!(
                refusal.message.len() > 10 && !refusal.message.contains('{'),
                "{kind:?}, old {old}: {refusal}"
            );
        }
    }
}

async fn refusal(client: &ConsensusClient, exit: &SignedVoluntaryExit) -> ExitRefusal {
    match client.submit_exit(exit).await.unwrap() {
        ExitOutcome::Refused { mut refusals, failures } if failures.is_empty() => refusals.pop().unwrap(),
        outcome => panic!("{outcome:?}"),
    }
}

/// What each client says of what is wrong with an exit.
fn words(kind: BeaconClient, what: &str) -> &'static str {
    use BeaconClient::{Lighthouse, Lodestar, Nimbus, Prysm, Teku};
    match (kind, what) {
        (Lighthouse, "fork" | "signature") => "BadSignature",
        (Lighthouse, "index") => "ValidatorUnknown(99)",
        (Lighthouse, _) => "FutureEpoch { state: ",
        (Teku, "fork" | "signature") => "Signature is invalid",
        (Teku, "index") => "Invalid validator index",
        (Teku, _) => "Specified exit epoch is still in the future",
        (Prysm, "fork" | "signature") => "signature did not verify",
        (Prysm, _) => "index 99 out of bounds",
        (Nimbus, "fork" | "signature") => "so it's rejected: Exit: invalid signature",
        (Nimbus, "index") => "VoluntaryExit: validator index too high",
        (Nimbus, _) => "Exit: exit epoch not passed",
        (Lodestar, "fork" | "signature") => "VOLUNTARY_EXIT_ERROR_INVALID_SIGNATURE",
        (Lodestar, "index") => "VOLUNTARY_EXIT_ERROR_INACTIVE",
        (Lodestar, _) => "VOLUNTARY_EXIT_ERROR_EARLY_EPOCH",
    }
}

#[tokio::test]
async fn a_network_file_that_is_wrong_about_the_fork_or_the_epoch_is_told_by_the_node() {
    let vault = Vault::with_validators(1, small()).await;
    let fork = vault.other_network(|network| network.capella_fork_version = ForkVersion([9; 4]));
    let answer = vault.exit(&["--no-confirm", "--network-config", &fork], "").await;
    ended(
        &answer,
        1,
        &[
            "Capella fork version 0x09090909",
            "0 of 1 validators exit",
            "refuses it with HTTP 400",
            "BadSignature",
        ],
    );
    let epoch = vault.other_network(|network| network.capella_epoch = Epoch(1_000_000));
    let answer = vault
        .exit(&["--no-confirm", "--json", "--network-config", &epoch], "")
        .await;
    ended(&answer, 1, &["FutureEpoch"]);
    assert_eq!(outcomes(&answer)[0].1, "refused");
    // What is put aside for a bad day must be right now.
    let drawer = vault.home.path().join("drawer.json");
    let answer = vault
        .exit(
            &["--output", &drawer.display().to_string(), "--network-config", &epoch],
            "",
        )
        .await;
    ended(&answer, 1, &["but the consensus node has"]);
    assert!(!drawer.exists());
    assert_eq!(vault.devnet.beacon().refused_exits().len(), 2);
    assert_eq!(vault.statuses().await, [ACTIVE]);
}

#[tokio::test]
async fn exits_in_a_drawer_are_sent_by_anybody_later() {
    let vault = Vault::with_validators(2, small()).await;
    let wrong = vault.home.path().join("wrong.txt");
    fs::write(&wrong, "mistyped").unwrap();
    let answer = vault
        .exit(
            &[
                "--no-confirm",
                "--keystores-password-file",
                &wrong.display().to_string(),
            ],
            "",
        )
        .await;
    ended(
        &answer,
        4,
        &["not every exit can be signed; nothing was sent", "wrong password"],
    );
    // The operator may be running: its directory is locked then.
    let _lock = VaultDir::new(&vault.person.data_dir, vault.devnet.vault())
        .lock()
        .unwrap();
    let drawer = vault.home.path().join("drawer.json");
    let path = drawer.display().to_string();
    let answer = vault.exit(&["--output", &path], "").await;
    ended(
        &answer,
        0,
        &["whoever has it can make these validators exit", "Nothing was sent."],
    );
    assert_eq!(answer.out, format!("Signed exits of validators 0, 1 saved to {path}\n"));
    assert_eq!(fs::metadata(&drawer).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&drawer).unwrap();
    let answer = vault.exit(&["--output", &path], "").await;
    ended(&answer, 2, &["exists already and is not overwritten"]);
    assert_eq!(fs::read_to_string(&drawer).unwrap(), text);
    assert_eq!(vault.accepted(), [0_u64; 0]);

    let exits: Vec<Value> = serde_json::from_str(&text).unwrap();
    let http = loopback_client(Duration::from_secs(10)).unwrap();
    let url = format!("{}/eth/v1/beacon/pool/voluntary_exits", vault.devnet.consensus_url());
    for exit in &exits {
        let response = http.post(&url).json(exit).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }
    vault.devnet.mine(1).await.unwrap();
    assert_eq!(vault.statuses().await, [EXITING, EXITING]);
}

#[tokio::test]
async fn what_is_done_in_part_can_be_run_again_for_the_rest() {
    let vault = Vault::with_validators(3, small()).await;
    let beacon = vault.devnet.beacon();
    // What the command cannot know beforehand: a partial withdrawal waits.
    beacon.set_pending_withdrawals([vault.keys[1]]);
    let answer = vault.exit(&["--no-confirm", "--json"], "").await;
    ended(&answer, 7, &["2 of 3 validators exit", "PendingWithdrawalInQueue(1)"]);
    let told = outcomes(&answer);
    let names: Vec<_> = told
        .iter()
        .map(|(index, outcome, _)| (*index, outcome.as_str()))
        .collect();
    assert_eq!(names, [(0, "accepted"), (1, "refused"), (2, "accepted")]);
    assert!(told[1].2.contains("PendingWithdrawalInQueue(1)"), "{told:?}");
    vault.devnet.mine(1).await.unwrap();

    // The answer to the second attempt is lost, not the exit.
    beacon.set_pending_withdrawals([]);
    beacon.rules().push(Rule::times(1, POST_EXIT, Act::LoseReply));
    let answer = vault.exit(&["--no-confirm", "--json"], "").await;
    ended(
        &answer,
        0,
        &["Validator 1: its exit was sent and has arrived", "in the pool"],
    );
    assert_eq!(outcomes(&answer)[0].1, "arrived");
    assert_eq!(beacon.rules().struck(), 1);
    assert_eq!(vault.accepted(), [0, 2, 1]);
}

#[tokio::test]
async fn a_lost_request_is_sent_again_and_a_stop_says_what_was_sent() {
    let vault = Vault::with_validators(3, small()).await;
    let rules = vault.devnet.beacon().rules();
    rules.push(Rule::times(1, POST_EXIT, Act::LoseRequest));
    let answer = vault.exit(&["--no-confirm", "--json", "--indexes", "0"], "").await;
    ended(&answer, 0, &[]);
    assert_eq!(
        (outcomes(&answer)[0].1.as_str(), vault.accepted()),
        ("accepted", vec![0])
    );

    rules.push(Rule::always(POST_EXIT, Act::Hang(Duration::from_secs(60))));
    let arguments = [
        "validators-exit",
        "--vault",
        &vault.person.vault,
        "--no-confirm",
        "--json",
    ];
    let mut running = tokio::process::Command::new(&vault.person.binary)
        .args(arguments)
        .env_clear()
        .envs(vault.person.environment.iter().cloned())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let struck = rules.struck();
    tokio::time::timeout(PATIENCE, async {
        while rules.struck() == struck {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let process = rustix::process::Pid::from_raw(running.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    tokio::time::timeout(STOP, running.wait()).await.unwrap().unwrap();
    let output = running.wait_with_output().await.unwrap();
    let answer = Answer {
        status: output.status,
        out: String::from_utf8(output.stdout).unwrap(),
        said: String::from_utf8(output.stderr).unwrap(),
    };
    ended(
        &answer,
        130,
        &["Stopping after this validator", "0 of 2 validators exit"],
    );
    let told = outcomes(&answer);
    let names: Vec<_> = told
        .iter()
        .map(|(index, outcome, _)| (*index, outcome.as_str()))
        .collect();
    assert_eq!(names[..2], [(1, "unknown"), (2, "not_sent")]);
}
