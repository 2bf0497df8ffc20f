//! Nodes that a command asks when they are named: those that cannot be used are said once, before anything is read.

use std::{str::FromStr, time::Duration};

use reqwest::redirect::Policy;
use sw_chain_client::{
    ConsensusClient, ConsensusOptions, ConsensusStatus, EndpointFault, ExecutionClient, ExecutionOptions, Genesis,
    JwtSecret,
};
use sw_spec::{NetworkSpec, RedactedUrl};

use crate::{
    config::EndpointParser,
    error::{CliError, Kind},
    jwt::JwtArgs,
    ui::{Question, Ui},
    wiring::http_client,
};

/// Nodes to ask; none unless they are named.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Nodes to ask for deposits; without them no connection is made")]
pub(crate) struct NodeArgs {
    /// Execution nodes, comma-separated; EXECUTION_ENDPOINTS is not read.
    #[arg(long, value_name = "URLS", value_delimiter = ',', value_parser = EndpointParser)]
    pub(crate) execution_endpoints: Vec<RedactedUrl>,
    #[command(flatten)]
    pub(crate) jwt: JwtArgs,
    /// Consensus nodes, comma-separated; CONSENSUS_ENDPOINTS is not read.
    #[arg(long, value_name = "URLS", value_delimiter = ',', value_parser = EndpointParser)]
    pub(crate) consensus_endpoints: Vec<RedactedUrl>,
    /// Blocks before the head in which deposits are searched: those that the beacon chain has not taken up yet.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        requires = "execution_endpoints",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) deposit_blocks: u64,
}

impl NodeArgs {
    /// Whether any node is named.
    pub(crate) fn any(&self) -> bool {
        !(self.execution_endpoints.is_empty() && self.consensus_endpoints.is_empty())
    }
}

/// The nodes that were named and can be used.
pub(crate) struct Nodes {
    pub(crate) execution: Option<ExecutionClient>,
    pub(crate) consensus: Option<ConsensusClient>,
}

impl Nodes {
    /// Looks at every node that is named.
    ///
    /// # Errors
    /// One is of another network, or none of a kind can be used.
    pub(crate) async fn connect(args: &NodeArgs, network: &NetworkSpec, ui: &Ui) -> Result<Self, CliError> {
        let http = http_client(Policy::none())?;
        let check = NodeCheck {
            http: &http,
            network,
            jwt_secret: args.jwt.clone().resolve()?,
            is_optional: true,
            ui,
        };
        let mut nodes = Self {
            execution: None,
            consensus: None,
        };
        if !args.execution_endpoints.is_empty() {
            let ready = check.execution(&args.execution_endpoints).await?;
            let options = ExecutionOptions {
                chain_id: Some(network.chain_id),
                retry_budget: RETRY_BUDGET,
                jwt_secret: check.jwt_secret.clone(),
                ..ExecutionOptions::default()
            };
            nodes.execution = Some(ExecutionClient::new(http.clone(), ready, options));
        }
        if !args.consensus_endpoints.is_empty() {
            let ready = check.consensus(&args.consensus_endpoints).await?;
            let options = ConsensusOptions {
                retry_budget: RETRY_BUDGET,
                genesis: Some(network.into()),
                ..ConsensusOptions::default()
            };
            nodes.consensus = Some(ConsensusClient::new(http.clone(), ready, options));
        }
        Ok(nodes)
    }
}

/// Finds out which nodes are there, in step, and of the vault's network. Each is asked once.
pub(crate) struct NodeCheck<'a> {
    pub(crate) http: &'a reqwest::Client,
    pub(crate) network: &'a NetworkSpec,
    pub(crate) jwt_secret: Option<JwtSecret>,
    /// Whether the command does without nodes.
    pub(crate) is_optional: bool,
    pub(crate) ui: &'a Ui,
}

impl NodeCheck<'_> {
    /// The execution nodes that can be asked.
    ///
    /// # Errors
    /// One is of another network, or none can be used.
    pub(crate) async fn execution(&self, urls: &[RedactedUrl]) -> Result<Vec<RedactedUrl>, CliError> {
        let options = ExecutionOptions {
            jwt_secret: self.jwt_secret.clone(),
            ..ExecutionOptions::default()
        };
        let asked = ExecutionClient::new(self.http.clone(), urls.to_vec(), options);
        let mut found = Found::default();
        for status in asked.check_endpoints(self.network.chain_id).await {
            match status.error {
                Some(fault @ EndpointFault::WrongChain { .. }) => {
                    return Err(other_network("execution", &status.endpoint, self.network, &fault));
                }
                Some(fault) => found.faults.push(fault_of(&status.endpoint, &fault)),
                None => found.ready.push(status.endpoint),
            }
        }
        found.ready("execution", self)
    }

    /// The consensus nodes that can be asked.
    ///
    /// # Errors
    /// One is of another network, or none can be used.
    pub(crate) async fn consensus(&self, urls: &[RedactedUrl]) -> Result<Vec<RedactedUrl>, CliError> {
        let options = ConsensusOptions {
            request_timeout: RETRY_BUDGET,
            ..ConsensusOptions::default()
        };
        let asked = ConsensusClient::new(self.http.clone(), urls.to_vec(), options);
        let (statuses, every_genesis) = tokio::join!(asked.syncing(), asked.every_genesis());
        let mut found = Found::default();
        for (status, (endpoint, genesis)) in statuses.into_iter().zip(every_genesis) {
            match genesis {
                Ok(genesis) if !is_of(&genesis, self.network) => {
                    return Err(other_network(
                        "consensus",
                        &endpoint,
                        self.network,
                        &OtherGenesis(genesis.genesis_validators_root),
                    ));
                }
                Err(fault) => found.faults.push(fault_of(&endpoint, &fault)),
                Ok(_) => match unready(&status) {
                    Some(why) => found.faults.push(why),
                    None => found.ready.push(endpoint),
                },
            }
        }
        found.ready("consensus", self)
    }
}

/// The endpoints that were given, or an answer with them.
pub(crate) fn endpoints(
    given: Vec<RedactedUrl>,
    question: Question<'_>,
    ui: &Ui,
) -> Result<Vec<RedactedUrl>, CliError> {
    let given = Some(given).filter(|given| !given.is_empty());
    ui.answer(given, question, |text| {
        text.split(',')
            .map(|url| RedactedUrl::from_str(url.trim()))
            .collect::<Result<Vec<_>, _>>()
    })
}

/// Refuses a pair of nodes of which one fell behind, or follows another chain: it does not know what happened since.
pub(crate) async fn check_same_chain(execution: &ExecutionClient, consensus: &ConsensusClient) -> Result<(), CliError> {
    let finalized = consensus.finalized().await.map_err(|error| unanswered(&error))?;
    execution.expect_final(finalized.block_number);
    let block = execution.block_by_number(finalized.block_number).await;
    let block = block.map_err(|error| unanswered(&error))?;
    if block.is_some_and(|block| block.hash == finalized.block_hash) {
        return Ok(());
    }
    Err(CliError::new(
        Kind::Failed,
        format_args!(
            "the execution node does not have block {} ({}), which is final on the consensus node",
            finalized.block_number, finalized.block_hash
        ),
    )
    .hint("pair an execution and a consensus node of the same network, both synced"))
}

fn unanswered(error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::from_error(Kind::Failed, error).hint(NOTHING_CHANGED)
}

fn is_of(genesis: &Genesis, network: &NetworkSpec) -> bool {
    genesis.genesis_validators_root == network.genesis_validators_root
        && genesis.genesis_fork_version == network.genesis_fork_version
}

fn unready(status: &ConsensusStatus) -> Option<String> {
    let endpoint = &status.endpoint;
    if let Some(fault) = &status.error {
        return Some(fault_of(endpoint, fault));
    }
    (!status.is_ready()).then(|| format!("{endpoint}: it is not in step with the chain yet"))
}

/// The nodes of one kind.
#[derive(Default)]
struct Found {
    ready: Vec<RedactedUrl>,
    faults: Vec<String>,
}

impl Found {
    /// The ones that can be used. What is wrong with the others is said, or is the error when none is left.
    fn ready(self, kind: &str, check: &NodeCheck<'_>) -> Result<Vec<RedactedUrl>, CliError> {
        if self.ready.is_empty() {
            let error = CliError::new(Kind::Failed, format_args!("no {kind} node can be asked"));
            let error = self.faults.into_iter().fold(error, CliError::cause);
            return Err(error.hint(if check.is_optional {
                format!("wait until it is synced, name another in `--{kind}-endpoints`, or leave the option out")
            } else {
                format!("wait until it is synced, or name another in `--{kind}-endpoints`")
            }));
        }
        for fault in self.faults {
            check.ui.warn(format_args!("one {kind} node is not asked: {fault}"));
        }
        Ok(self.ready)
    }
}

fn fault_of(endpoint: &RedactedUrl, fault: &EndpointFault) -> String {
    let causes = std::iter::successors(Some(fault as &dyn std::error::Error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    format!("{endpoint}: {}", texts.join(": "))
}

#[derive(Debug, thiserror::Error)]
#[error("its genesis validators root is {0}")]
struct OtherGenesis(sw_spec::B256);

fn other_network(
    kind: &str,
    endpoint: &RedactedUrl,
    network: &NetworkSpec,
    fault: &(dyn std::error::Error + 'static),
) -> CliError {
    CliError::caused_by(
        Kind::Failed,
        format_args!("{kind} endpoint {endpoint} is not of {}", network.name),
        fault,
    )
    .hint(format_args!(
        "name nodes of the vault's network in `--{kind}-endpoints`, or the right `--network`"
    ))
}

pub(crate) const NOTHING_CHANGED: &str = "nothing was changed; run this again, or name other nodes";
/// A person waits: what does not answer for so long is named.
pub(crate) const RETRY_BUDGET: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use sw_spec::Network;
    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_never_answers_is_named_before_a_person_gives_up() {
        let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", deaf.local_addr().expect("bound"));
        let (http, network, ui) = (
            http_client(Policy::none()).expect("a client"),
            Network::Mainnet.spec(),
            Ui::plain(),
        );
        let check = NodeCheck {
            http: &http,
            network: &network,
            jwt_secret: None,
            is_optional: false,
            ui: &ui,
        };
        let begun = Instant::now();
        let refused = check.consensus(&[url.parse().expect("a URL")]).await;
        assert!(refused.is_err());
        assert!(begun.elapsed() < RETRY_BUDGET * 2, "{:?}", begun.elapsed());
    }
}
