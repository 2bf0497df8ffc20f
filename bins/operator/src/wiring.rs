//! From what was configured to what runs: the only place that picks a backend, a TLS provider or a source of randomness.

use std::{sync::Arc, time::Duration};

use rand_core::CryptoRng;
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use sw_chain_client::{
    ConsensusClient, ConsensusOptions, ExecutionClient, ExecutionOptions, FeeLimits, HotWallet, Journal,
};
use sw_deposit_data::{DepositDataFile, ValidatorsTree};
use sw_ipfs::{GatewayOptions, Gateways, gateway_redirects};
use sw_key_ops::{KeystoreKeys, verify_keystores};
use sw_keys::{WalletFile, WalletFileError};
use sw_oracle_client::ApprovalTimeouts;
use sw_registration::{Metrics, NetworkValidators, Operator, Oracles, Quarantine, ServiceError, WALLET_REMEDY};
use sw_signers::LocalSigner;
use sw_store::ValidatorIndex;
use sw_vault_dir::{Batch, IndexError, KeystoreFault, KeystoreIndex, OpenKeystoreError, VaultLock, read_secret_file};

use crate::{
    error::{CliError, Kind},
    host,
    keystores::{MOVE_COPIES, not_all_open, shared_iv_warning},
    logging::LoggedProgress,
    start_config::StartConfig,
};

/// Opens everything the operator is made of. Nothing is asked of any node.
pub(crate) async fn assemble(config: StartConfig, metrics: Arc<Metrics>) -> Result<(Operator, VaultLock), CliError> {
    let lock = config.directory.lock().map_err(|error| {
        CliError::from_error(Kind::Unsafe, &error)
            .hint("one operator runs for a vault directory; stop the other one, or give this one its own `--data-dir`")
    })?;
    let opened = tokio::task::spawn_blocking(move || {
        let opened = open(&config, &lock)?;
        Ok::<_, CliError>((config, lock, opened))
    });
    let (config, lock, opened) = opened
        .await
        .map_err(|_| CliError::new(Kind::Bug, "the start was cut short"))??;
    let timeouts = &config.timeouts;
    let (strict, lenient) = (http_client(Policy::none())?, http_client(gateway_redirects())?);
    let options = ExecutionOptions {
        chain_id: Some(config.network.chain_id),
        request_timeout: timeouts.execution,
        memory: Some(config.directory.endpoints()),
        jwt_secret: config.jwt_secret,
        quorum: config.execution_quorum.get(),
        ..ExecutionOptions::default()
    };
    let execution = ExecutionClient::new(strict.clone(), config.execution_endpoints, options);
    let options = ConsensusOptions {
        request_timeout: timeouts.consensus,
        genesis: Some((&config.network).into()),
        ..ConsensusOptions::default()
    };
    let consensus = ConsensusClient::new(strict.clone(), config.consensus_endpoints, options);
    // A gateway may redirect, but not into this network: what it serves is checked against its CID, wherever it is from.
    let gateways = |timeout| {
        let cache_dir = Some(config.directory.ipfs_cache());
        let options = GatewayOptions { timeout, cache_dir };
        Arc::new(Gateways::new(lenient.clone(), config.gateways.clone(), options))
    };
    let limits = FeeLimits {
        max_fee_per_gas: config.max_fee_per_gas,
        min_priority_fee: u128::from(config.network.min_priority_fee_gwei).saturating_mul(GWEI),
    };
    let Opened {
        wallet_key,
        journal,
        deposit_data,
        tree,
        signer,
        index,
    } = opened;
    let slot = Duration::from_secs(config.network.seconds_per_slot);
    let wallet = HotWallet::new(
        execution.clone(),
        wallet_key,
        config.network.chain_id,
        journal,
        limits,
        slot,
    )
    .map_err(|error| CliError::from_error(Kind::Failed, &error))?;
    let keys = deposit_data.entries().iter().map(|entry| entry.public_key);
    let quarantine = Quarantine::new(config.vault, keys, Arc::clone(&metrics));
    let short_gateways = gateways(timeouts.ipfs);
    let operator = Operator {
        vault: config.vault,
        network: config.network.clone(),
        execution,
        consensus,
        oracles: Oracles::new(config.network.clone(), Arc::clone(&short_gateways)),
        gateways: short_gateways,
        dump_gateways: gateways(timeouts.ipfs.max(DUMP_TIMEOUT)),
        http: strict,
        approval_timeouts: ApprovalTimeouts {
            attempt: timeouts.oracle,
            total: timeouts.oracle.saturating_mul(3),
        },
        transaction_timeout: timeouts.transaction,
        harvest_vault: config.harvest_vault,
        adopt_wallet: config.adopt_wallet,
        signer: Arc::new(signer),
        wallet,
        deposit_data: Arc::new(deposit_data),
        tree: Arc::new(tree),
        validators: NetworkValidators::new(index, config.network.clone(), quarantine, random),
        metrics,
        random,
    };
    Ok((operator, lock))
}

fn random() -> Box<dyn CryptoRng + Send> {
    Box::new(host::randomness())
}

/// The list of mainnet's validators has 88 MB. The original's GENESIS_VALIDATORS_IPFS_TIMEOUT.
const DUMP_TIMEOUT: Duration = Duration::from_secs(300);
const GWEI: u128 = 1_000_000_000;

/// What lies on this machine.
struct Opened {
    wallet_key: zeroize::Zeroizing<[u8; 32]>,
    journal: Journal,
    deposit_data: DepositDataFile,
    tree: ValidatorsTree,
    signer: LocalSigner<KeystoreKeys>,
    index: ValidatorIndex,
}

fn open(config: &StartConfig, lock: &VaultLock) -> Result<Opened, CliError> {
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::from_error(Kind::Failed, error);
    if Batch::finish_interrupted(lock).map_err(|error| failed(&error))? {
        tracing::info!("finished a `create-keys` or `recover` that was interrupted");
    }
    let files = &config.files;
    let shown = files.deposit_data.display();
    let bytes = std::fs::read(&files.deposit_data).map_err(|error| {
        CliError::caused_by(
            Kind::Failed,
            format_args!("cannot read the deposit data `{shown}`"),
            &error,
        )
    })?;
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        CliError::caused_by(
            Kind::Failed,
            format_args!("cannot use the deposit data `{shown}`"),
            error,
        )
        .hint("`operator get-validators-root` checks a deposit data file entry by entry")
    };
    let deposit_data = DepositDataFile::parse(&bytes).map_err(|error| unusable(&error))?;
    let tree = ValidatorsTree::new(config.vault, &deposit_data).map_err(|error| unusable(&error))?;
    let signer = LocalSigner::new(KeystoreKeys::new(keystores(config)?, config.opening));
    let wallet_key = open_wallet(config)?;
    let journal = Journal::open(&config.directory.journal()).map_err(|error| failed(&error))?;
    let (index, damaged) =
        ValidatorIndex::open_or_rebuild(&files.database, &config.network.name).map_err(|error| failed(&error))?;
    if let Some(damaged) = damaged {
        tracing::warn!(
            kept = %damaged.kept.display(),
            finding = damaged.finding,
            "the validator database was damaged; it is put aside and rebuilt from the chain"
        );
    }
    Ok(Opened {
        wallet_key,
        journal,
        deposit_data,
        tree,
        signer,
        index,
    })
}

fn keystores(config: &StartConfig) -> Result<KeystoreIndex, CliError> {
    let (at, opening) = (&config.files.keystores, config.opening);
    let failed = |error: IndexError| {
        let failed = CliError::from_error(Kind::Failed, &error);
        let twice = |fault: &KeystoreFault| matches!(fault.cause, OpenKeystoreError::Duplicate { .. });
        let failed = match error {
            IndexError::Duplicate { .. } => failed.hint(MOVE_COPIES),
            IndexError::Unusable { faults, .. } if faults.iter().any(twice) => failed.hint(MOVE_COPIES),
            _ => failed,
        };
        failed.hint("`operator keystores verify` names everything that is wrong")
    };
    let index = if config.verify_keystores {
        let (index, faults) = KeystoreIndex::survey(&at.dir, at.passwords.clone(), opening).map_err(failed)?;
        tracing::info!(count = index.len(), "opening every keystore");
        not_all_open(
            at,
            &verify_keystores(&index, faults, opening, &LoggedProgress::default()),
        )?;
        index
    } else {
        KeystoreIndex::scan_with(&at.dir, at.passwords.clone(), opening).map_err(failed)?
    };
    for path in index.passed_over() {
        tracing::debug!(path = %path.display(), "not a keystore");
    }
    tracing::info!(
        count = index.len(),
        "keystores found; each is opened when it is first needed"
    );
    if let Some(warning) = shared_iv_warning(&index.shared_ivs()) {
        tracing::warn!("{warning}");
    }
    Ok(index)
}

fn open_wallet(config: &StartConfig) -> Result<zeroize::Zeroizing<[u8; 32]>, CliError> {
    let (wallet, password) = (config.files.wallet.display(), config.files.wallet_password.display());
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        CliError::caused_by(
            Kind::Failed,
            format_args!("cannot open the hot wallet `{wallet}`"),
            error,
        )
    };
    let other = "name another with `--hot-wallet-file`, or make one with `operator create-wallet`";
    let bytes = std::fs::read(&config.files.wallet).map_err(|error| cannot(&error).hint(other))?;
    let file = WalletFile::parse(&bytes).map_err(|error| cannot(&error).hint(other))?;
    let secret = read_secret_file(&config.files.wallet_password)
        .map_err(|error| cannot(&error).hint("name the right file with `--hot-wallet-password-file`"))?;
    let key = file.decrypt(&secret).map_err(|error| match error {
        WalletFileError::WrongPassword => CliError::caused_by(
            Kind::Secret,
            format_args!("cannot open the hot wallet `{wallet}`"),
            &error,
        )
        .hint(format_args!(
            "the password is read from `{password}`; use `--hot-wallet-password-file` for another"
        )),
        error => cannot(&error).hint(other),
    })?;
    Ok(key.expose_bytes())
}

/// Node and oracle URLs may be private: a redirect would carry a request, and what it knows, somewhere else.
pub(crate) fn http_client(redirects: Policy) -> Result<reqwest::Client, CliError> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| CliError::caused_by(Kind::Failed, "cannot set up TLS", error);
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirects)
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("stakewise-operator/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(&error))
}

/// The end of the service in the words of the person who started it.
pub(crate) fn service_error(error: &ServiceError) -> CliError {
    match error {
        ServiceError::Check(report) => CliError::from_error(Kind::Failed, error).hint(&report.remedy),
        ServiceError::Panicked { .. } => {
            CliError::from_error(Kind::Bug, error).hint("restart it: what was sent is in the journal; and report this")
        }
        ServiceError::WalletShared(_) => CliError::from_error(Kind::Unsafe, error).hint(WALLET_REMEDY),
        ServiceError::Unsafe(report) => CliError::from_error(Kind::Unsafe, error).hint(&report.remedy),
        ServiceError::JournalUnusable(_) => CliError::from_error(Kind::Failed, error)
            .hint("make room on the disk of the vault's directory, then start again: what was sent is in the journal"),
        error => CliError::from_error(Kind::Failed, error),
    }
}
