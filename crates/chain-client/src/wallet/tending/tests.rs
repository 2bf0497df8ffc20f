use alloy::{
    consensus::{Transaction, TxEnvelope},
    eips::eip2718::Decodable2718,
};
use alloy_primitives::Address;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{ExecutionClient, ExecutionOptions, FeeLimits, Journal};

const GWEI: u128 = 1_000_000_000;

/// A wallet without nodes: it can sign.
fn wallet(directory: &tempfile::TempDir, limits: FeeLimits) -> HotWallet {
    let client = ExecutionClient::new(reqwest_client(), Vec::new(), ExecutionOptions::default());
    let journal = Journal::open(&directory.path().join("journal")).expect("opens");
    HotWallet::new(
        client,
        Zeroizing::new([7; 32]),
        1,
        journal,
        limits,
        Duration::from_secs(12),
    )
    .expect("a key")
}

fn reqwest_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .expect("a client")
}

fn signed(raw: &Bytes) -> (u128, u128) {
    let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).expect("decodes");
    let tip = transaction.max_priority_fee_per_gas().expect("EIP-1559");
    (transaction.max_fee_per_gas(), tip)
}

/// A block's base fee and tip, whether the call is still useful, and where the transaction is.
#[derive(Debug, Clone)]
struct Block {
    base_fee: u128,
    tip: u128,
    useful: bool,
    lost: bool,
    gap: bool,
    age: u64,
}

fn block() -> impl Strategy<Value = Block> {
    let wei = || prop_oneof![0..60 * GWEI, Just(0), any::<u128>()];
    (
        wei(),
        0..20 * GWEI,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..5_u64,
    )
        .prop_map(|(base_fee, tip, useful, lost, gap, age)| Block {
            base_fee,
            tip,
            useful,
            lost,
            gap,
            age,
        })
}

/// Mainnet's and Gnosis's least tip, and limits that a user may set.
fn limits() -> impl Strategy<Value = FeeLimits> {
    (1..50_u128, prop_oneof![Just(0), Just(GWEI)]).prop_map(|(gwei, min_priority_fee)| FeeLimits {
        max_fee_per_gas: gwei * GWEI,
        min_priority_fee,
    })
}

/// Follows a transaction through blocks as `tend` does, and returns everything that was signed for it, each with whether what it
/// replaces was known to a node.
fn walk(wallet: &HotWallet, limits: FeeLimits, blocks: &[Block]) -> Vec<(Bytes, bool)> {
    let inner = &wallet.inner;
    let call = Call::new(Address::repeat_byte(9), vec![1, 2, 3].into());
    let mut out: Vec<(Bytes, bool)> = Vec::new();
    let mut open: Option<Open> = None;
    for block in blocks {
        let Some(held) = open.as_mut() else {
            let Ok(fees) = limits.offer(block.base_fee, block.tip) else {
                continue;
            };
            let first = inner.sign(0, 100_000, fees, &call).expect("within the limit");
            out.push((first.raw.clone(), false));
            let (kind, nonce) = ("register".to_owned(), 0);
            let sent = SentTx {
                hash: first.hash,
                nonce,
                kind,
                gas_limit: 100_000,
                fees,
            };
            let entry = inner.entry(&sent, &[], first.raw, 0);
            let highest = (fees.max_fee_per_gas, fees.max_priority_fee_per_gas);
            open = Some(Open {
                place: Place::Waiting,
                entry,
                since: None,
                highest,
            });
            continue;
        };
        held.place = if block.lost { Place::Lost } else { Place::Waiting };
        let case = Case {
            open: held,
            useful: block.useful,
            gap: block.gap,
            outbid: block.lost,
            head: block.age,
            base_fee: block.base_fee,
            tip: block.tip,
            limits,
        };
        let next = match case.act() {
            Act::Replace(fees) => inner.again(&held.entry, fees, 0),
            Act::Cancel(fees) => inner.cancellation(&held.entry, fees, 0),
            Act::Wait(_) | Act::Resend | Act::Remind => continue,
            Act::GiveUp => {
                open = None;
                continue;
            }
        };
        let next = next.expect("within the limit");
        out.push((next.raw.clone(), !block.lost));
        let (fee, tip) = (next.max_fee_per_gas, next.max_priority_fee_per_gas);
        held.highest = (held.highest.0.max(fee), held.highest.1.max(tip));
        held.entry = next;
    }
    out
}

#[test]
fn no_walk_of_fees_makes_the_wallet_sign_above_the_limit_or_replace_for_less_than_an_eighth() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut wallet = wallet(
        &directory,
        FeeLimits {
            max_fee_per_gas: 0,
            min_priority_fee: 0,
        },
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (mut replaced, mut first) = (0_usize, 0_usize);
    let cell = std::cell::RefCell::new((&mut wallet, &mut replaced, &mut first));
    let walks = (limits(), proptest::collection::vec(block(), 1..8));
    runner
        .run(&walks, |(limits, blocks)| {
            let mut cell = cell.borrow_mut();
            let (wallet, replaced, first) = &mut *cell;
            Arc::get_mut(&mut wallet.inner).expect("one wallet").limits = limits;
            let out = walk(wallet, limits, &blocks);
            let mut before = None;
            for (raw, outbids) in &out {
                let (fee, tip) = signed(raw);
                prop_assert!(fee <= limits.max_fee_per_gas && tip <= fee);
                match before.filter(|_| *outbids) {
                    Some((old_fee, old_tip)) => {
                        prop_assert!(fee * 8 >= old_fee * 9 && tip * 8 >= old_tip * 9 && tip > old_tip);
                        **replaced += 1;
                    }
                    None => **first += 1,
                }
                before = Some((fee, tip));
            }
            Ok(())
        })
        .expect("holds for every walk");
    assert!(
        replaced > 1000 && first > 5000,
        "{replaced} replacements, {first} others"
    );
}

#[test]
fn pauses_after_refusals_grow_to_two_slots_and_end_with_a_success() {
    let refusals = Refusals::default();
    let slot = Duration::from_secs(12);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (began, mut tried) = (Instant::now(), Vec::new());
        for _ in 0..12 {
            if refusals.resting("register").is_none() {
                tried.push(began.elapsed().as_secs() / 12);
                refusals.add("register", "no", slot);
            }
            tokio::time::advance(slot).await;
        }
        assert_eq!(tried, [0, 1, 3, 5, 7, 9, 11]);
        assert_eq!(refusals.resting("register").as_deref(), Some("no"));
        assert_eq!(refusals.resting("harvest"), None);
        refusals.clear("register");
        assert_eq!(refusals.resting("register"), None);
    });
}

/// The journal drops what was signed once it is deep in the chain; a deeper reorganisation leaves nothing to hand out.
#[test]
fn a_cancellation_whose_bytes_are_gone_is_signed_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = FeeLimits {
        max_fee_per_gas: 50 * GWEI,
        min_priority_fee: 0,
    };
    let inner = Arc::clone(&wallet(&directory, limits).inner);
    let fees = limits.offer(GWEI, GWEI).expect("within the limit");
    let (hash, kind) = (B256::ZERO, "register".to_owned());
    let sent = SentTx {
        hash,
        nonce: 0,
        kind,
        gas_limit: GAS_OF_NOTHING,
        fees,
    };
    let mut entry = inner.entry(&sent, &[], Bytes::from_static(&[2]), 0);
    entry.cancels = true;
    let acts = [Bytes::from_static(&[2]), Bytes::new()].map(|raw| {
        entry.raw = raw;
        let open = Open {
            place: Place::Lost,
            entry: entry.clone(),
            since: None,
            highest: (0, 0),
        };
        let case = Case {
            open: &open,
            useful: false,
            gap: true,
            outbid: false,
            head: 1,
            base_fee: GWEI,
            tip: GWEI,
            limits,
        };
        case.act()
    });
    assert!(matches!(acts, [Act::Resend, Act::Cancel(_)]), "{acts:?}");
}
