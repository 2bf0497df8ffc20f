//! What the commands about deposit data share: the file, the network it is for, and its faults.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sw_deposit_data::{DepositDataFile, EntryFault, ValidatorsTree, VerifyError};
use sw_key_ops::{NoProgress, Progress, Workers, verify_deposit_data};
use sw_registration::{DepositLookUp, DepositedEntry, DepositsFound};
use sw_spec::{Address, B256, Network, NetworkSpec, PublicKeyBytes, WithdrawalCredentials};
use sw_vault_dir::VaultDir;

use crate::{
    config::{VaultArgs, load_vault, network_from_path},
    error::{CliError, Kind},
    host,
    nodes::{NodeArgs, Nodes},
    ui::Ui,
};

/// A deposit data file, and whom it is for.
#[derive(Debug, clap::Args)]
pub(crate) struct DepositDataArgs {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// File with the deposit data [default: deposit_data.json in the directory of the vault].
    #[arg(long, value_name = "FILE")]
    pub(crate) deposit_data_file: Option<PathBuf>,
    /// Network of the vault: mainnet, hoodi or gnosis [default: as told to `init`].
    #[arg(long, value_name = "NAME", conflicts_with = "network_config")]
    pub(crate) network: Option<Network>,
    /// File that describes a network of your own [default: as told to `init`].
    #[arg(long, value_name = "FILE")]
    pub(crate) network_config: Option<PathBuf>,
}

/// A deposit data file that was read.
pub(crate) struct DepositData {
    pub(crate) vault: Address,
    pub(crate) directory: VaultDir,
    pub(crate) path: PathBuf,
    pub(crate) file: DepositDataFile,
    network: Option<Network>,
    network_config: Option<PathBuf>,
}

impl DepositDataArgs {
    /// Reads the file, asking for the vault if need be.
    pub(crate) fn load(self, ui: &Ui) -> Result<DepositData, CliError> {
        let (vault, directory) = self.vault.resolve("Enter the vault address", ui)?;
        let path = self.deposit_data_file.unwrap_or_else(|| directory.deposit_data());
        let bytes = read_bytes(&path).map_err(|error| unreadable(&path, &error))?;
        let file = DepositDataFile::parse(&bytes).map_err(|error| cannot_use(&path, &error))?;
        Ok(DepositData {
            vault,
            directory,
            path,
            file,
            network: self.network,
            network_config: self.network_config,
        })
    }
}

impl DepositData {
    /// The network: as named, as told to `init`, or else the one that the entries themselves state, which is said.
    pub(crate) fn network(&self, ui: &Ui) -> Result<Option<NetworkSpec>, CliError> {
        if let Some(network) = self.network {
            return Ok(Some(network.spec()));
        }
        if let Some(path) = &self.network_config {
            return network_from_path(path).map(Some);
        }
        if self.directory.config().exists() {
            return load_vault(&self.directory).map(|(_, network)| Some(network));
        }
        let stated = self.file.entries().first().and_then(|entry| entry.fork_version);
        let mut known = Network::ALL.into_iter().map(Network::spec);
        let network = known.find(|network| Some(network.genesis_fork_version) == stated);
        if let Some(network) = &network {
            ui.warn(format_args!(
                "the vault has no config.json: the entries are taken for deposits on {}, as they state; name the vault's \
                 network with `--network`",
                network.name
            ));
        }
        Ok(network)
    }

    /// The tree of the file.
    pub(crate) fn tree(&self) -> Result<ValidatorsTree, CliError> {
        ValidatorsTree::new(self.vault, &self.file).map_err(|error| cannot_use(&self.path, &error))
    }

    /// Everything that is wrong with the entries themselves.
    pub(crate) fn faults(&self, network: &NetworkSpec, ui: &Ui) -> Vec<EntryFault> {
        let workers = Workers::new(host::processors());
        let bars = ui.bars();
        let progress: &dyn Progress = if self.file.entries().len() < WORTH_A_BAR {
            &NoProgress
        } else {
            &bars
        };
        let mut rng = host::randomness();
        match verify_deposit_data(&self.file, self.vault, network, workers, &mut rng, progress) {
            Ok(()) => Vec::new(),
            Err(VerifyError { faults, .. }) => faults,
        }
    }

    /// Asks the nodes that are named which validators have a deposit already; nobody when none is.
    pub(crate) fn look_up(
        &self,
        root: B256,
        network: &NetworkSpec,
        args: &NodeArgs,
        ui: &Ui,
    ) -> Result<Option<DepositsFound>, CliError> {
        if !args.any() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::caused_by(Kind::Failed, "cannot ask the nodes", &error))?;
        runtime.block_on(async {
            let nodes = Nodes::connect(args, network, ui).await?;
            let look_up = DepositLookUp {
                vault: self.vault,
                network,
                execution: nodes.execution.as_ref(),
                consensus: nodes.consensus.as_ref(),
                blocks: args.deposit_blocks,
            };
            let found = look_up.run(&self.file, root).await.map_err(|error| {
                CliError::from_error(Kind::Failed, &error)
                    .hint("run it again, with other nodes perhaps; without nodes, deposits are not looked for")
            })?;
            Ok(Some(found))
        })
    }

    /// Nothing can be checked without a network.
    pub(crate) fn network_unknown(&self) -> CliError {
        CliError::new(
            Kind::Usage,
            format_args!(
                "the network of vault {} is not known: it has no config.json",
                self.vault
            ),
        )
        .hint("name it with `--network` or `--network-config`, or name the data directory with `--data-dir`")
    }

    /// The refusal of the file, without reasons yet.
    pub(crate) fn must_not_be_used(&self, network: &NetworkSpec) -> CliError {
        CliError::new(
            Kind::Failed,
            format_args!(
                "the deposit data `{}` must not be used for vault {} on {}",
                self.path.display(),
                self.vault,
                network.name
            ),
        )
    }
}

/// One thing that is wrong with an entry.
pub(crate) struct Reason {
    pub(crate) index: usize,
    pub(crate) public_key: PublicKeyBytes,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// The faults, and the entries whose deposits are in the way, in the order of the file.
pub(crate) fn reasons(faults: &[EntryFault], found: Option<&DepositsFound>, vault: Address) -> Vec<Reason> {
    let faults = faults.iter().map(|fault| Reason {
        index: fault.index,
        public_key: fault.public_key,
        kind: fault.fault.kind(),
        text: fault.fault.to_string(),
    });
    let in_the_way = found.into_iter().flat_map(DepositsFound::in_the_way);
    let deposited = in_the_way.map(|entry| Reason {
        index: entry.index,
        public_key: entry.public_key,
        kind: "deposited",
        text: deposit_text(entry, vault),
    });
    let mut reasons: Vec<Reason> = faults.chain(deposited).collect();
    reasons.sort_by_key(|reason| reason.index);
    reasons
}

/// What was seen of an entry with a deposit.
pub(crate) fn deposit_text(entry: &DepositedEntry, vault: Address) -> String {
    let credentials = entry.seen.withdrawal_credentials();
    let of_the_vault = [
        WithdrawalCredentials::execution(vault),
        WithdrawalCredentials::compounding(vault),
    ];
    if of_the_vault.contains(&credentials) {
        entry.seen.to_string()
    } else {
        format!("{}, paid out to {}, which is not the vault", entry.seen, credentials.0)
    }
}

/// A line for each entry with all its reasons.
pub(crate) fn by_entry(reasons: &[Reason]) -> Vec<String> {
    let entries = reasons.chunk_by(|one, other| one.index == other.index);
    let lines = entries.filter_map(|reasons| {
        let Reason { index, public_key, .. } = reasons.first()?;
        let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
        Some(format!("entry {index}, {public_key}: {}", texts.join("; ")))
    });
    lines.collect()
}

/// Reads a file, but no more than can be parsed, and one byte, so that what is cut off is refused.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = DepositDataFile::MAX_FILE_BYTES as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> CliError {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let error = CliError::caused_by(
        Kind::Failed,
        format_args!("cannot read the deposit data `{}`", path.display()),
        error,
    );
    if missing {
        error.hint("run `operator create-keys` first, or name the file with `--deposit-data-file`")
    } else {
        error
    }
}

/// The file is no deposit data, or of no use.
pub(crate) fn cannot_use(path: &Path, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::caused_by(
        Kind::Failed,
        format_args!("cannot use the deposit data `{}`", path.display()),
        error,
    )
    .hint("name the file that `operator create-keys` made with `--deposit-data-file`")
}

/// A list with the rest of it counted.
pub(crate) fn listed<T: Display>(items: &[T], most: usize) -> String {
    let shown: Vec<String> = items.iter().take(most).map(ToString::to_string).collect();
    match items.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Entries whose signatures take a second on one processor.
const WORTH_A_BAR: usize = 1500;
