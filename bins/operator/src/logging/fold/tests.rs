use std::sync::atomic::{AtomicU64, Ordering};

use sw_chain_client::{EndpointFailure, EndpointFault, ExecutionError};
use sw_ipfs::{FetchError, parse_cid};
use sw_oracle_client::ApprovalError;
use sw_registration::{Duty, DutyError, Metrics, Outcome, Supervisor, WhyNot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::logging::layer;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

fn logged(form: Form) -> (Sink, Folder, tracing::subscriber::DefaultGuard) {
    let sink = Sink::default();
    let folder = Folder::new(sink.clone(), form);
    let subscriber = tracing_subscriber::registry().with(layer(form, folder.clone(), false));
    (sink, folder, tracing::subscriber::set_default(subscriber))
}

fn fails(block: u64) {
    tracing::warn!(block, "the node has no block");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_differs_in_numbers_is_told_once_and_then_counted() {
    for form in [Form::Plain, Form::Json] {
        let (sink, folder, _guard) = logged(form);
        for block in 100..110 {
            fails(block);
        }
        assert_eq!(sink.lines().len(), 1, "{:?}", sink.lines());
        tokio::time::advance(SHORTEST).await;
        folder.tell_due();
        let lines = sink.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        match form {
            Form::Plain => assert!(
                lines[1].ends_with("the node has no block block=109 (repeated 9 times)"),
                "{lines:?}"
            ),
            Form::Json => {
                let line: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
                assert_eq!((&line["repeated"], &line["block"]), (&9.into(), &109.into()), "{line}");
            }
        }
        fails(110);
        folder.tell_all();
        assert_eq!(sink.lines().len(), 3, "what is held at the end is told");
        folder.tell_all();
        assert_eq!(sink.lines().len(), 3, "and once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_ran_is_told_before_something_new() {
    let (sink, _folder, _guard) = logged(Form::Plain);
    for block in 0..5 {
        fails(block);
    }
    tracing::error!("two operators share a wallet");
    let lines = sink.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[1].ends_with("(repeated 4 times)") && lines[2].contains("share a wallet"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn other_names_other_places_and_debug_are_never_held() {
    let (sink, _folder, _guard) = logged(Form::Plain);
    for key in ["0xab01", "0xab02", "0xcd01"] {
        tracing::error!(key, "quarantined");
        tracing::warn!(key, "quarantined");
    }
    for number in 0..50 {
        tracing::debug!(number, "asked");
    }
    assert_eq!(sink.lines().len(), 6 + 50);
}

#[tokio::test(start_paused = true)]
async fn nodes_are_told_apart_by_their_addresses() {
    let (sink, _folder, _guard) = logged(Form::Plain);
    for endpoint in [
        "http://10.0.0.1:8545/",
        "http://10.0.0.2:8545/",
        "http://10.0.0.2:8546/",
    ] {
        tracing::warn!(endpoint, "the node is set aside");
    }
    for slot in 0..10 {
        tracing::warn!("no answer from https://node1.example/eth/v1/{slot} after 3 s");
    }
    assert_eq!(sink.lines().len(), 3 + 1, "{:?}", sink.lines());
}

/// A long outage, an end, and the same outage again: the log must not end with the good news.
#[tokio::test(start_paused = true)]
async fn a_failure_that_comes_again_after_its_end_is_told() {
    let (sink, folder, _guard) = logged(Form::Plain);
    let slots = async |count: u32, failing: bool| {
        for _ in 0..count {
            if failing {
                fails(1);
            }
            tokio::time::advance(Duration::from_secs(12)).await;
            folder.tell_due();
        }
    };
    slots(400, true).await;
    tracing::info!("works again");
    slots(60, false).await;
    slots(1, true).await;
    let lines = sink.lines();
    assert!(lines.last().is_some_and(|line| line.ends_with("block=1")), "{lines:?}");
    // It comes and goes quickly: what it came to is told when it is over.
    for _ in 0..100 {
        slots(4, true).await;
        tracing::info!("works again");
        slots(4, false).await;
    }
    slots(1, true).await;
    slots(60, false).await;
    let lines = sink.lines();
    assert!(
        lines.last().is_some_and(|line| line.contains("the node has no block")),
        "{lines:?}"
    );
    assert!(lines.len() < 40, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn few_good_news_of_a_kind_are_all_told() {
    let (sink, folder, _guard) = logged(Form::Plain);
    for count in 0..20 {
        tracing::info!(count, "validators registered");
    }
    assert_eq!(sink.lines().len(), 3);
    folder.tell_all();
    assert!(sink.lines()[3].ends_with("count=19 (repeated 17 times)"));
}

#[tokio::test(start_paused = true)]
async fn ever_new_words_take_no_more_than_their_room() {
    let (_sink, folder, _guard) = logged(Form::Plain);
    for number in 0..10 * MOST_KINDS {
        let name = format!("0x{number:x}");
        tracing::warn!(name, "somebody");
    }
    assert!(folder.shared().fold.kinds.len() <= MOST_KINDS);
}

/// A duty for a day of 12 second slots, in which by turns the nodes, the oracles and the gateways are down for an hour, in
/// changing ways, and then an hour everything works.
struct Troubled {
    name: &'static str,
    slot: u64,
}

static TICKS: AtomicU64 = AtomicU64::new(0);

const SLOTS: u64 = 24 * 3600 / 12;

const FAULTS: [&str; 4] = ["nodes", "oracles", "gateways", "none"];

fn nodes_down(slot: u64) -> DutyError {
    let fault = match slot % 3 {
        0 => EndpointFault::TimedOut(Duration::from_secs(30)),
        1 => EndpointFault::RateLimited { retry_after: None },
        _ => EndpointFault::Behind {
            block: 20_000_000 + slot,
        },
    };
    let endpoint = "http://node.example:8545".parse().expect("a URL");
    DutyError::Execution {
        what: "the head",
        source: Box::new(ExecutionError::Unavailable(vec![EndpointFailure {
            endpoint,
            fault: Arc::new(fault),
        }])),
    }
}

fn oracles_down(slot: u64) -> DutyError {
    // The supervisor says this of an oracle once an hour; here it comes with every tick.
    for oracle in ["0x0a01", "0x0a02", "0x0a08"] {
        tracing::warn!(oracle, milliseconds = slot, "oracle gave no approval");
    }
    DutyError::Approvals(Box::new(ApprovalError::NotEnough {
        what: "registration",
        needed: 8,
        best: usize::try_from(slot % 8).expect("small"),
        outcomes: Vec::new(),
    }))
}

fn gateways_down(slot: u64) -> DutyError {
    tracing::warn!(attempt = slot, "ipfs gateway passed over");
    let cid = parse_cid("bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi").expect("a CID");
    DutyError::Ipfs {
        what: "the oracles' config",
        source: Box::new(FetchError::Unavailable {
            cid,
            failures: Vec::new(),
        }),
    }
}

#[async_trait::async_trait]
impl Duty for Troubled {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        self.slot += 1;
        TICKS.fetch_add(1, Ordering::Relaxed);
        let hour = usize::try_from(self.slot / 300).expect("a day");
        let registers = self.name == "register validators";
        match FAULTS[hour % FAULTS.len()] {
            "nodes" => Err(nodes_down(self.slot)),
            "oracles" if registers => Err(oracles_down(self.slot)),
            "gateways" if registers || self.name == "harvest vault" => Err(gateways_down(self.slot)),
            _ => Ok(Outcome::Idle(WhyNot::ValidatorsNotScanned)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_outages_is_few_lines_and_each_failure_and_recovery_is_told() {
    for form in [Form::Plain, Form::Json] {
        let (sink, folder, _guard) = logged(form);
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new("sw_operator", "devnet", "0.0.0"));
        let mut supervisor = Supervisor::new(stop.clone(), metrics);
        let before = TICKS.load(Ordering::Relaxed);
        for name in ["register validators", "scan deposits", "watch chain", "harvest vault"] {
            supervisor.start(Box::new(Troubled { name, slot: 0 }), Duration::from_secs(12));
        }
        for _ in 0..SLOTS {
            tokio::time::sleep(Duration::from_secs(12)).await;
            folder.tell_due();
        }
        stop.cancel();
        supervisor.join().await.expect("an orderly stop");
        folder.tell_all();
        assert!(TICKS.load(Ordering::Relaxed) - before >= 4 * SLOTS);
        // The debug lines of the supervisor are not part of a usual log.
        let lines: Vec<String> = sink
            .lines()
            .into_iter()
            .filter(|line| !line.contains("DEBUG"))
            .collect();
        assert!(
            lines.len() <= 300,
            "{} lines, of which the first hundred: {:#?}",
            lines.len(),
            &lines[..100]
        );
        let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        for what in [
            "no complete answer within 30s",
            "limits the rate",
            "it does not have block",
            "of the 8 oracles needed approved",
            "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi",
            "ipfs gateway passed over",
            "0x0a01",
            "0x0a08",
            "are still being read",
        ] {
            assert!(told(what) > 0, "{what}: {lines:#?}");
        }
        // After each of the six outages, in whichever duty.
        assert!(told("duty works again") >= 6, "{lines:#?}");
        assert!(told("repeated") > 0);
    }
}
