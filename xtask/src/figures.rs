//! `cargo xtask figures`: what the shipped binary takes, against its named limits.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use sw_devnet::{Devnet, DevnetConfig, person::Person};

use crate::{
    Failure,
    shell::{build_operator, output},
};

/// `operator --help`: processor time, in milliseconds.
const HELP_LIMIT: f64 = 10.0;
/// `operator start` with 100 keystores, idle: resident memory, in MB.
const IDLE_LIMIT: f64 = 60.0;
const KEYSTORES: usize = 100;
/// The same with 10,000: resident memory in MB, and processor time until it is ready to register, in seconds.
const MANY_LIMIT: f64 = 150.0;
const MANY_READY_LIMIT: f64 = 3.0;
const MANY: usize = 10_000;
/// Making 10,000 keys: seconds on the clock.
const CREATE_MANY_LIMIT: f64 = 60.0;
/// Making 100 keys, and opening their keystores: processor time in seconds. The original takes 115 and 95.
const SHARED_LIMIT: f64 = 1.5;
const OWN_LIMIT: f64 = 25.0;
const HELP_RUNS: u32 = 200;

pub(crate) fn run() -> Result<(), Failure> {
    let operator = build_operator()?;
    let size = std::fs::metadata(&operator)?.len();
    println!("{:<52} {:>8.1} MB", "size of the binary", megabytes(size));
    report("operator --help, processor time (ms)", help(&operator)?, HELP_LIMIT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        idle(&operator).await?;
        many(&operator).await
    })?;
    hundred(&operator, &[], SHARED_LIMIT)?;
    hundred(&operator, &["--unique-salts"], OWN_LIMIT)?;
    hundred(&operator, &["--per-keystore-password"], OWN_LIMIT)
}

fn report(what: &str, measured: f64, limit: f64) {
    println!(
        "{what:<52} {measured:>8.2}   limit {limit}, {:.0} % of it",
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

/// A start with so many keystores that whatever is done for each shows.
async fn many(operator: &Path) -> Result<(), Failure> {
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::tempdir()?;
    let person = Person::new(operator, home.path(), devnet.vault().to_string(), &devnet);
    let mnemonic = person.init(devnet.network_file()).await?;
    let begun = Instant::now();
    person.create_keys(&mnemonic, MANY).await?;
    report(
        "create-keys --count 10000, on the clock (s)",
        begun.elapsed().as_secs_f64(),
        CREATE_MANY_LIMIT,
    );
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    devnet
        .set_deposit_data_root(devnet.vault(), person.validators_root().await?.parse()?)
        .await?;
    let running = person.start(&["--verbose"])?;
    running.says("a validator takes 32", Duration::from_secs(120)).await?;
    let pid = running.id().ok_or("the operator has ended")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ready = ticks(&stat, 11)? / 1000.0;
    report(
        "start with 10,000 keystores, processor time (s)",
        ready,
        MANY_READY_LIMIT,
    );
    report("the same, resident memory then (MB)", resident(&running)?, MANY_LIMIT);
    running.says("the next keys are open", Duration::from_secs(120)).await?;
    report("the same with the next keys open (MB)", resident(&running)?, MANY_LIMIT);
    devnet.stop().await;
    Ok(())
}

/// `operator create-keys` and `operator keystores verify` with 100 keys, in that order of memory.
fn hundred(operator: &Path, how: &[&str], limit: f64) -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let (vault, data_dir) = ("0x3320ad928c20187602a2B2C04EeAa813fA899468", home.path().join("data"));
    let data_dir = data_dir.to_str().ok_or("a temporary directory with a strange name")?;
    let run = |arguments: &[&str]| {
        let place = ["--vault", vault, "--data-dir", data_dir];
        output(
            std::process::Command::new(operator)
                .args(arguments)
                .args(place)
                .stderr(Stdio::null()),
        )
    };
    let words = home.path().join("words.txt");
    std::fs::write(
        &words,
        run(&["init", "--network=mainnet", "--language=english", "--no-verify"])?,
    )?;
    let words = words.to_str().ok_or("a temporary directory with a strange name")?;
    let timed = |what: &str, arguments: &[&str]| {
        let before = processor_time_of_children()?;
        run(arguments)?;
        let took = (processor_time_of_children()? - before) / 1000.0;
        report(&format!("{what}, processor time (s)"), took, limit);
        Ok::<_, Failure>(())
    };
    let how_said = how.join(" ");
    let create = [&["create-keys", "--count=100", "--mnemonic-file", words], how].concat();
    timed(format!("create-keys --count=100 {how_said}").trim_end(), &create)?;
    timed("opening them", &["keystores", "verify"])?;
    let most = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    println!(
        "{:<52} {:>8.1} MB",
        "most memory of any command so far",
        most as f64 * 1024.0 / 1e6
    );
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
    ticks(&std::fs::read_to_string("/proc/self/stat")?, 13)
}

/// The sum of two fields of proc(5)'s `stat` from that position after the name, in milliseconds.
fn ticks(stat: &str, position: usize) -> Result<f64, Failure> {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Result<Vec<u64>, _> = fields.skip(position).take(2).map(str::parse).collect();
    Ok(10.0 * ticks?.into_iter().sum::<u64>() as f64)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
