//! The execution chain through several nodes.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy::rpc::json_rpc::RpcSend;
use alloy_primitives::{B256, U64};
use futures::future::join_all;
use serde::de::IgnoredAny;
use sw_spec::RedactedUrl;

use crate::{
    BlockRef, EndpointFailure, EndpointFault, ExecutionError, JwtSecret, Receipt,
    block::{BlockAnswer, ReceiptAnswer},
    endpoints::{Endpoint, Endpoints, Failed, NoAnswer},
    memory::Memory,
    rpc::Node,
};

/// Limits of an [`ExecutionClient`].
#[derive(Debug, Clone)]
pub struct ExecutionOptions {
    /// The chain that every endpoint must be on. Without it, [`ExecutionClient::check_endpoints`] sets it.
    pub chain_id: Option<u64>,
    /// How long one request may take, to the last byte of its answer.
    pub request_timeout: Duration,
    /// How long all endpoints together are tried before a call fails.
    pub retry_budget: Duration,
    /// The longest answer that is read, in bytes after decompression.
    pub body_limit: usize,
    /// The same for answers that are lists of logs.
    pub logs_body_limit: usize,
    /// How often a receipt is asked for while waiting for a transaction.
    pub poll_interval: Duration,
    /// How many endpoints must agree on what money depends on, at least 1. See [`ExecutionClient::head`].
    pub quorum: usize,
    /// The file that remembers how many blocks of logs and how many calls a minute each endpoint serves; without it this is
    /// learned anew at each start. It can be deleted.
    pub memory: Option<PathBuf>,
    /// What every request to every endpoint is authenticated with.
    pub jwt_secret: Option<JwtSecret>,
}

impl Default for ExecutionOptions {
    fn default() -> Self {
        Self {
            chain_id: None,
            request_timeout: Duration::from_secs(30),
            retry_budget: Duration::from_secs(60),
            body_limit: 8 * 1024 * 1024,
            logs_body_limit: 64 * 1024 * 1024,
            poll_interval: Duration::from_secs(1),
            quorum: 1,
            memory: None,
            jwt_secret: None,
        }
    }
}

/// What one endpoint says of itself.
#[derive(Debug)]
pub struct EndpointStatus {
    /// The endpoint.
    pub endpoint: RedactedUrl,
    /// The chain it serves, if it answers.
    pub chain_id: Option<u64>,
    /// Whether it is still catching up.
    pub syncing: bool,
    /// Its latest block.
    pub block: Option<u64>,
    /// Why it cannot be used now.
    pub error: Option<EndpointFault>,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In a block.
    Mined(Receipt),
    /// Known to a node and waiting.
    Pending,
    /// No node that answers knows it.
    Unknown,
}

/// The execution chain through one or more nodes: they are asked in order, and the next takes over when one fails.
#[derive(Clone)]
pub struct ExecutionClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) endpoints: Endpoints<Node>,
    options: ExecutionOptions,
    /// 0 while no chain is expected.
    chain_id: AtomicU64,
    /// The latest block that every endpoint must have.
    final_block: AtomicU64,
    /// Unix time that the consensus chain has come to.
    pub(crate) consensus_time: AtomicU64,
    /// Seconds that an endpoint's head may be older than that.
    pub(crate) consensus_tolerance: AtomicU64,
    /// The newest block that was given out.
    pub(crate) newest: AtomicU64,
}

impl ExecutionClient {
    /// A client of these endpoints, the preferred one first.
    ///
    /// `client` should not follow redirects: an answer from another host is refused, but the request was made.
    pub fn new(client: reqwest::Client, endpoints: Vec<RedactedUrl>, options: ExecutionOptions) -> Self {
        let memory = options.memory.clone().map(|path| Arc::new(Memory::open(path)));
        let nodes = endpoints
            .into_iter()
            .map(|url| (url.clone(), Node::new(client.clone(), url, &options, memory.clone())));
        Self::over(nodes, options.clone())
    }

    pub(crate) fn over(nodes: impl IntoIterator<Item = (RedactedUrl, Node)>, options: ExecutionOptions) -> Self {
        let endpoints = Endpoints::new(nodes, options.retry_budget);
        let chain_id = AtomicU64::new(options.chain_id.unwrap_or(0));
        Self {
            inner: Arc::new(Inner {
                endpoints,
                options,
                chain_id,
                final_block: AtomicU64::new(0),
                consensus_time: AtomicU64::new(0),
                consensus_tolerance: AtomicU64::new(0),
                newest: AtomicU64::new(0),
            }),
        }
    }

    /// Asks every endpoint for its chain, its sync state and its head, and from now on uses none that is on another
    /// chain than `chain_id`.
    pub async fn check_endpoints(&self, chain_id: u64) -> Vec<EndpointStatus> {
        self.expect_chain(chain_id);
        join_all(
            self.inner
                .endpoints
                .all()
                .iter()
                .map(|endpoint| endpoint_status(endpoint, chain_id)),
        )
        .await
    }

    /// The block of this number, or `None` if the chain is not that long.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn block_by_number(&self, number: u64) -> Result<Option<BlockRef>, ExecutionError> {
        let inner = &self.inner;
        inner
            .first_answer(|endpoint| async move {
                endpoint.client.check_chain(inner.chain_id()).await?;
                let block = block(&endpoint.client, U64::from(number)).await?;
                match block.filter(|block| block.number != number) {
                    Some(_) => Err(EndpointFault::Malformed("another block than the one asked for".to_owned()).into()),
                    None if block.is_none() && number <= inner.final_block() => {
                        Err(EndpointFault::Behind { block: number }.into())
                    }
                    None => Ok(block),
                }
            })
            .await
    }

    /// The receipt of a transaction, or `None` while no endpoint knows it to be in a block.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn receipt(&self, hash: B256) -> Result<Option<Receipt>, ExecutionError> {
        Ok(match self.transaction(hash).await? {
            TransactionStatus::Mined(receipt) => Some(receipt),
            TransactionStatus::Pending | TransactionStatus::Unknown => None,
        })
    }

    /// Where a transaction is, by the word of all endpoints: one of them may not have heard of it yet.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn transaction(&self, hash: B256) -> Result<TransactionStatus, ExecutionError> {
        let endpoints = self.inner.endpoints.rested();
        let answers = join_all(endpoints.iter().map(|endpoint| async move {
            match self.transaction_at(&endpoint.client, hash).await {
                Ok(status) => Ok(status),
                Err(fault) => Err(EndpointFailure {
                    endpoint: endpoint.url.clone(),
                    fault: endpoint.failed(fault),
                }),
            }
        }))
        .await;
        let (statuses, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        let statuses: Vec<_> = statuses.into_iter().flatten().collect();
        let is_mined = |status: &&TransactionStatus| matches!(status, TransactionStatus::Mined(_));
        let votes = |status| statuses.iter().filter(|other| *other == status).count();
        let mined = statuses
            .iter()
            .filter(is_mined)
            .find(|status| votes(*status) >= self.inner.quorum());
        // Of what too few have in a block it is only known that it may get there.
        let known = statuses.iter().any(|status| *status != TransactionStatus::Unknown);
        let pending = known.then_some(&TransactionStatus::Pending);
        match mined.or(pending).or(statuses.first()) {
            Some(status) => Ok(*status),
            None => Err(ExecutionError::Unavailable(
                failures.into_iter().filter_map(Result::err).collect(),
            )),
        }
    }

    async fn transaction_at(&self, node: &Node, hash: B256) -> Result<TransactionStatus, EndpointFault> {
        node.check_chain(self.inner.chain_id()).await?;
        let receipt: Option<ReceiptAnswer> = node.plain("eth_getTransactionReceipt", (hash,)).await?;
        if let Some(receipt) = receipt.map(Receipt::from) {
            if receipt.hash != hash {
                return Err(EndpointFault::Malformed(
                    "the receipt is of another transaction".to_owned(),
                ));
            }
            return Ok(TransactionStatus::Mined(receipt));
        }
        let known: Option<IgnoredAny> = node.plain("eth_getTransactionByHash", (hash,)).await?;
        Ok(if known.is_some() {
            TransactionStatus::Pending
        } else {
            TransactionStatus::Unknown
        })
    }

    /// From now on uses no endpoint that does not have the block of this number, which the consensus chain has made final.
    ///
    /// A node that lost its consensus node stays where it is, and answers as if nothing were wrong.
    pub fn expect_final(&self, block: u64) {
        self.inner.final_block.store(block, Ordering::Relaxed);
    }

    /// From now on uses no endpoint that is on another chain.
    pub(crate) fn expect_chain(&self, chain_id: u64) {
        self.inner.chain_id.store(chain_id, Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> &ExecutionOptions {
        &self.inner.options
    }
}

impl Inner {
    pub(crate) fn chain_id(&self) -> Option<u64> {
        match self.chain_id.load(Ordering::Relaxed) {
            0 => None,
            chain_id => Some(chain_id),
        }
    }

    fn final_block(&self) -> u64 {
        self.final_block.load(Ordering::Relaxed)
    }

    pub(crate) fn check_has_final(&self, head: u64) -> Result<(), EndpointFault> {
        match self.final_block() {
            block if head < block => Err(EndpointFault::Behind { block }),
            _ => Ok(()),
        }
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.all().len()
    }

    pub(crate) fn quorum(&self) -> usize {
        self.options.quorum.max(1)
    }

    pub(crate) fn retry_budget(&self) -> Duration {
        self.options.retry_budget
    }

    pub(crate) async fn first_answer<T, F>(
        &self,
        ask: impl FnMut(Arc<Endpoint<Node>>) -> F,
    ) -> Result<T, ExecutionError>
    where
        F: Future<Output = Result<T, Failed<ExecutionError>>>,
    {
        self.endpoints.first_answer(ask).await.map_err(|error| match error {
            NoAnswer::Unavailable(failures) => ExecutionError::Unavailable(failures),
            NoAnswer::Request(error) => error,
        })
    }
}

pub(crate) async fn block(node: &Node, number: impl RpcSend) -> Result<Option<BlockRef>, EndpointFault> {
    let answer: Option<BlockAnswer> = node.plain("eth_getBlockByNumber", (number, false)).await?;
    answer.map(BlockRef::try_from).transpose()
}

async fn endpoint_status(endpoint: &Endpoint<Node>, expected: u64) -> EndpointStatus {
    let mut status = EndpointStatus {
        endpoint: endpoint.url.clone(),
        chain_id: None,
        syncing: false,
        block: None,
        error: None,
    };
    let node = &endpoint.client;
    let looked = async {
        let found = node.chain_id().await?;
        status.chain_id = Some(found);
        if found != expected {
            return Err(EndpointFault::WrongChain { expected, found });
        }
        status.syncing = node.is_syncing().await?;
        status.block = Some(node.plain::<_, U64>("eth_blockNumber", ()).await?.to());
        if status.syncing {
            Err(EndpointFault::Syncing)
        } else {
            Ok(())
        }
    };
    status.error = looked.await.err();
    status
}
