//! `cargo xtask figures`: what the shipped binary takes, against its named limits.

use std::{path::Path, process::Stdio, time::Duration};

use sw_devnet::{Devnet, DevnetConfig, person::Person};

use crate::{Failure, shell::build_operator};

/// `operator --help`: processor time, in milliseconds.
const HELP_LIMIT: f64 = 10.0;
/// `operator start` with 100 keystores, idle: resident memory, in MB.
const IDLE_LIMIT: f64 = 60.0;
const KEYSTORES: usize = 100;
const HELP_RUNS: u32 = 200;

pub(crate) fn run() -> Result<(), Failure> {
    let operator = build_operator()?;
    let size = std::fs::metadata(&operator)?.len();
    println!("{:<52} {:>8.1} MB", "size of the binary", megabytes(size));
    report("operator --help, processor time (ms)", help(&operator)?, HELP_LIMIT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(idle(&operator))
}

fn report(what: &str, measured: f64, limit: f64) {
    println!(
        "{what:<52} {measured:>8.1}   limit {limit:.0}, {:.0} % of it",
        100.0 * measured / limit
    );
}

fn help(operator: &Path) -> Result<f64, Failure> {
    let before = processor_time_of_children()?;
    for _ in 0..HELP_RUNS {
        let status = std::process::Command::new(operator)
            .arg("--help")
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("`operator --help` ended with {status}").into());
        }
    }
    Ok((processor_time_of_children()? - before) / f64::from(HELP_RUNS))
}

async fn idle(operator: &Path) -> Result<(), Failure> {
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::tempdir()?;
    let person = Person::new(operator, home.path(), devnet.vault().to_string(), &devnet);
    let mnemonic = person.init(devnet.network_file()).await?;
    person.create_keys(&mnemonic, KEYSTORES).await?;
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    devnet
        .set_deposit_data_root(devnet.vault(), person.validators_root().await?.parse()?)
        .await?;
    let running = person.start(&[])?;
    running.says("a validator takes 32", Duration::from_secs(60)).await?;
    report("start with 100 keystores, idle (MB)", resident(&running)?, IDLE_LIMIT);
    devnet.stake(devnet.vault(), 96).await?;
    devnet.wait_registered(devnet.vault(), 3).await?;
    running.says("validator registered", Duration::from_secs(60)).await?;
    report(
        "the same after registering three validators (MB)",
        resident(&running)?,
        IDLE_LIMIT,
    );
    devnet.stop().await;
    Ok(())
}

/// Resident memory of a process (proc(5), `VmRSS`).
fn resident(running: &sw_devnet::person::RunningOperator) -> Result<f64, Failure> {
    let pid = running.id().ok_or("the operator has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.ok_or("no VmRSS")?.parse()?;
    Ok(megabytes(kibibytes * 1024))
}

/// Milliseconds of processor time of all children that ended (proc(5), `cutime` and `cstime`, in hundredths of a second).
fn processor_time_of_children() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Result<Vec<u64>, _> = fields.skip(13).take(2).map(str::parse).collect();
    Ok(10.0 * ticks?.into_iter().sum::<u64>() as f64)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
