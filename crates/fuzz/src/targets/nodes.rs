//! Answers of execution and consensus nodes.

use std::sync::LazyLock;

use futures::FutureExt;
use sw_chain_client::{
    Address, B256, Call, DepositEvent, ExecutionClient, ExecutionError, SimulateError, Snapshot,
    fuzzing::{self, Reply, beacon_answers, execution_client},
};
use sw_spec::RedactedUrl;
use tokio::runtime::Runtime;

use super::abi::{deposit_data, topic};
use crate::{Memory, Target, Verdict};

pub(super) const CONTRACT: Address = Address::repeat_byte(0x42);
const BLOCK: &str = concat!(
    r#"{"number":"0x64","hash":"0x1111111111111111111111111111111111111111111111111111111111111111","#,
    r#""timestamp":"0x66000000","baseFeePerGas":"0x3b9aca00","transactions":[],"gasLimit":"0x1c9c380"}"#,
);
/// What timers need, whether or not they are waited for.
static CLOCK: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build());
const TRANSACTION: B256 = B256::repeat_byte(0x22);
const TOKENS: &[&str] = &[
    "\"0x\"",
    "0x0",
    "null,",
    "\"result\":",
    "\"error\":{\"code\":3,\"message\":\"\"}",
    "revert",
    "id",
];

/// A client whose node answers what is not under test as a sound one does.
pub(super) fn client(script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> ExecutionClient {
    execution_client(&url(), move |method| {
        script(method).unwrap_or_else(|| {
            let sound: &[u8] = match method {
                "eth_syncing" => b"false",
                "eth_getBlockByNumber" => BLOCK.as_bytes(),
                _ => b"null",
            };
            Reply::Result(sound.to_vec())
        })
    })
}

/// The head of such a client's node.
pub(super) fn snapshot(client: &ExecutionClient) -> Result<Snapshot, String> {
    now(client.head())?.map_err(|error| error.to_string())
}

/// The outcome of what does not wait: the node is a function. A client that was told to slow down waits for its turn, which
/// is where an input ends.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = CLOCK.as_ref().map_err(ToString::to_string)?;
    let _clock = runtime.enter();
    future
        .now_or_never()
        .ok_or_else(|| "the client waits for something".to_owned())
}

/// One answer for one method, as it is used where it is asked for.
fn of_method(method: &'static str, input: &[u8]) -> ExecutionClient {
    let input = input.to_vec();
    client(move |asked| (asked == method).then(|| Reply::Result(input.clone())))
}

/// Eight megabytes of an answer, and what is made of them, stay below 256: the text is there several times meanwhile.
pub(super) const MEMORY: Memory = Memory {
    base: 64 * 1024,
    per_byte: 28,
};

pub(super) fn body() -> Target {
    let corpus = vec![
        br#"{"jsonrpc":"2.0","id":0,"result":false}"#.to_vec(),
        br#"{"jsonrpc":"2.0","id":0,"result":{"startingBlock":"0x0","currentBlock":"0x5"}}"#.to_vec(),
        br#"{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"limit exceeded","data":{"a":[1]}}}"#.to_vec(),
        b"<html><body>502 Bad Gateway</body></html>".to_vec(),
    ];
    Target::new("rpc-body", corpus, TOKENS, |input| {
        let mut accepted = false;
        for status in [200, 503] {
            let input = input.to_vec();
            let client = client(move |method| (method == "eth_syncing").then(|| Reply::Body(status, input.clone())));
            accepted |= now(client.head())?.is_ok();
        }
        Ok(accepted.into())
    })
}

pub(super) fn block() -> Target {
    Target::new(
        "rpc-block",
        vec![BLOCK.as_bytes().to_vec(), b"null".to_vec()],
        TOKENS,
        |input| {
            let client = of_method("eth_getBlockByNumber", input);
            let by_number = now(client.block_by_number(100))?;
            if let Ok(Some(block)) = by_number
                && block.number != 100
            {
                return Err("another block than the one asked for".to_owned());
            }
            Ok(now(client.head())?.is_ok().into())
        },
    )
}

pub(super) fn receipt() -> Target {
    let receipt = format!(
        r#"{{"transactionHash":"{TRANSACTION}","blockNumber":"0x64","blockHash":"{TRANSACTION}","status":"0x1","gasUsed":"0x5208","logs":[]}}"#
    );
    Target::new(
        "rpc-receipt",
        vec![receipt.into_bytes(), b"null".to_vec()],
        TOKENS,
        |input| {
            let status = now(of_method("eth_getTransactionByHash", input).transaction(TRANSACTION))?;
            match now(of_method("eth_getTransactionReceipt", input).receipt(TRANSACTION))? {
                Ok(Some(receipt)) if receipt.hash != TRANSACTION => {
                    Err("the receipt of another transaction".to_owned())
                }
                Ok(receipt) => Ok((receipt.is_some() || status.is_ok()).into()),
                Err(_) => Ok(Verdict::Refused),
            }
        },
    )
}

pub(super) fn logs() -> Target {
    let log = |block: u64, index: u64, data: &[u8]| {
        format!(
            r#"{{"address":"{CONTRACT}","topics":["{}"],"data":"0x{}","blockNumber":"{block:#x}","blockHash":"0x{:064x}","transactionHash":"{TRANSACTION}","transactionIndex":"0x0","logIndex":"{index:#x}","removed":false}}"#,
            topic("DepositEvent(bytes,bytes,bytes,bytes,bytes)"),
            hex::encode(data),
            block,
        )
    };
    let (first, second) = (log(90, 1, &deposit_data(5)), log(90, 4, &deposit_data(6)));
    let third = log(91, 0, &deposit_data(7));
    let corpus = vec![
        format!("[{first},{second},{third}]").into_bytes(),
        format!("[{first}]").into_bytes(),
        b"[]".to_vec(),
    ];
    Target::new("rpc-logs", corpus, TOKENS, |input| {
        let client = of_method("eth_getLogs", input);
        let snapshot = snapshot(&client)?;
        let Ok(deposits) = now(snapshot.deposit_events(CONTRACT, 80, 100))? else {
            return Ok(Verdict::Refused);
        };
        let follows = |(before, after): (&DepositEvent, &DepositEvent)| {
            before.index.checked_add(1) == Some(after.index) && before.block <= after.block
        };
        let in_range = deposits.iter().all(|deposit| (80..=100).contains(&deposit.block));
        if !in_range || !deposits.iter().zip(deposits.iter().skip(1)).all(follows) {
            return Err("deposits out of range, out of order or with a gap".to_owned());
        }
        Ok(Verdict::Accepted)
    })
}

pub(super) fn fee_history() -> Target {
    let corpus = vec![
        br#"{"oldestBlock":"0x5a","reward":[["0x3b9aca00"],["0x77359400"],[]],"baseFeePerGas":["0x1"],"gasUsedRatio":[0.5]}"#.to_vec(),
        br#"{"reward":null}"#.to_vec(),
    ];
    Target::new("rpc-fee-history", corpus, TOKENS, |input| {
        let client = of_method("eth_feeHistory", input);
        let snapshot = snapshot(&client)?;
        let history = now(fuzzing::market_tip(&snapshot))?.is_ok();
        let client = of_method("eth_getBalance", input);
        let balance = now(self::snapshot(&client)?.balance(CONTRACT))?.is_ok();
        Ok((history || balance).into())
    })
}

pub(super) fn error() -> Target {
    let corpus = vec![
        br#"{"code":3,"message":"execution reverted","data":"0x08c379a0"}"#.to_vec(),
        br#"{"code":-32015,"message":"VM execution error.","data":"Reverted 0xcf479181"}"#.to_vec(),
        br#"{"code":-32000,"message":"insufficient funds for gas * price + value"}"#.to_vec(),
        br#"{"code":-32603,"message":"reverted","data":{"message":"m","data":"0xcf479181"}}"#.to_vec(),
        br#"{"code":-32602,"message":"invalid argument"}"#.to_vec(),
    ];
    Target::new("rpc-error", corpus, TOKENS, |input| {
        // The second request of a client: its identifier is not known here, and errors are read whatever it is.
        let body = [br#"{"jsonrpc":"2.0","id":2,"error":"#, input, b"}"].concat();
        let client = client(move |method| (method == "eth_call").then(|| Reply::Body(200, body.clone())));
        let snapshot = snapshot(&client)?;
        let call = Call::new(CONTRACT, Default::default());
        let error = match now(snapshot.simulate(CONTRACT, &call))? {
            Ok(()) => return Err("an error that was taken for success".to_owned()),
            Err(error) => error,
        };
        let shown = error.to_string();
        if shown.len() > 4_096 || shown.contains(['\n', '\u{1b}']) {
            return Err(format!(
                "an error of {} bytes, or with control characters: {shown:?}",
                shown.len()
            ));
        }
        let read = matches!(
            error,
            SimulateError::Reverted { .. } | SimulateError::Execution(ExecutionError::Refused { .. })
        );
        Ok(read.into())
    })
}

pub(super) fn beacon() -> Target {
    let key = "ab".repeat(48);
    let root = "cd".repeat(32);
    let corpus = vec![
        br#"{"data":{"head_slot":"100","sync_distance":"0","is_syncing":false,"is_optimistic":false,"el_offline":false}}"#.to_vec(),
        format!(r#"{{"data":{{"genesis_time":"1606824023","genesis_validators_root":"0x{root}","genesis_fork_version":"0x00000000"}}}}"#).into_bytes(),
        br#"{"data":{"chain_id":"1","address":"0x00000000219ab540356cbb839cbe05303d7705fa"}}"#.to_vec(),
        format!(r#"{{"version":"electra","execution_optimistic":false,"finalized":true,"data":{{"message":{{"slot":"64","proposer_index":"1","body":{{"randao_reveal":"0x00","execution_payload":{{"block_number":"60","block_hash":"0x{root}","timestamp":"1606824099","transactions":["0x02f8"]}}}}}},"signature":"0x00"}}}}"#).into_bytes(),
        format!(r#"{{"execution_optimistic":false,"data":[{{"index":"7","balance":"32000000000","status":"active_ongoing","validator":{{"pubkey":"0x{key}","withdrawal_credentials":"0x{root}","effective_balance":"32000000000","slashed":false,"activation_epoch":"3","exit_epoch":"18446744073709551615","withdrawable_epoch":"18446744073709551615"}}}}]}}"#).into_bytes(),
        br#"{"data":[{"index":"7","is_live":true},{"index":"8","is_live":false}]}"#.to_vec(),
        br#"{"data":{"previous_version":"0x04000000","current_version":"0x05000000","epoch":"364032"}}"#.to_vec(),
        format!(r#"{{"data":{{"previous_justified":{{"epoch":"7","root":"0x{root}"}},"current_justified":{{"epoch":"8","root":"0x{root}"}},"finalized":{{"epoch":"7","root":"0x{root}"}}}}}}"#).into_bytes(),
        br#"{"data":{"CAPELLA_FORK_VERSION":"0x03000000","CAPELLA_FORK_EPOCH":"194048","SHARD_COMMITTEE_PERIOD":"256","SLOTS_PER_EPOCH":"32","SECONDS_PER_SLOT":"12","SLOT_DURATION_MS":"12000"}}"#.to_vec(),
        format!(r#"{{"data":[{{"message":{{"epoch":"194048","validator_index":"123"}},"signature":"0x{key}{key}"}}]}}"#).into_bytes(),
    ];
    Target::new(
        "beacon",
        corpus,
        &[
            "\"execution_optimistic\":true,",
            "\"data\":",
            "\"18446744073709551616\"",
        ],
        |input| Ok((!beacon_answers(input, &url()).is_empty()).into()),
    )
}

/// What a node says when it refuses an exit.
pub(super) fn refusal() -> Target {
    let corpus = vec![
        br#"{"code":400,"message":"BAD_REQUEST: Invalid object: ExitValidationError(Invalid(NotActive(7)))","stacktraces":[]}"#.to_vec(),
        br#"{"code":400,"message":"Exit for validator 7 is invalid: Validator is not active"}"#.to_vec(),
        br#"{"message":"Invalid exit: non-active validator cannot exit","code":400}"#.to_vec(),
        br#"{"code":400,"message":"Invalid voluntary exit","stacktraces":["Exit: validator not active"]}"#.to_vec(),
        br#"{"code":500,"message":"VOLUNTARY_EXIT_ERROR_INACTIVE"}"#.to_vec(),
    ];
    let tokens = &[
        "<html>",
        "\\n",
        "\\u001b",
        "topsecret1",
        "\"stacktraces\":[",
        "password1",
    ];
    Target::new("beacon-refusal", corpus, tokens, |input| {
        let shown = fuzzing::exit_refusal(400, input.to_vec(), &url()).ok_or("a refusal that is none")?;
        let secret = ["password1", "topsecret1", "0123456789abcdef"];
        if shown.len() > 2_048 || shown.contains(char::is_control) || secret.iter().any(|secret| shown.contains(secret))
        {
            return Err(format!(
                "{} bytes, not in one line, or with a secret: {shown:?}",
                shown.len()
            ));
        }
        Ok(serde_json::from_slice::<serde_json::Value>(input).is_ok().into())
    })
}

fn url() -> RedactedUrl {
    super::urls::parsed("http://user:password1@node.example:8545/v3/0123456789abcdef?apikey=topsecret1")
}
