//! What keys cost, in CPU seconds beside the figure of the plan and the floor that was measured for it.
//!
//! Not with `divan`: it measures the time of the clock, which a busy machine stretches, and no memory.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that meets a surprise should stop, and prints"
)]

use rand_core::UnwrapErr;
use rustix::time::{ClockId, clock_gettime};
use sw_keys::{KdfParams, Keystore, Language, Mnemonic, SecretString, Stretcher, ValidatorKeys};

const GIB: u64 = 1 << 30;
const ROUNDS: usize = 3;
const LANES: usize = 4;

fn main() {
    // `cargo test --benches` runs this too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{:<58} {:>10} {:>22}", "", "measured", "floor");
    stretch();
    keys();
    opening();
}

/// scrypt of the usual cost: the `scrypt` crate and the lanes in turn, so that both meet the same noise.
fn stretch() {
    let params = parameters(LANES * 2);
    let password = SecretString::from("password");
    let jobs: Vec<_> = params.iter().map(|params| (params, &password)).collect();
    let four = &jobs[..LANES];
    let mut lanes = Stretcher::new(GIB);
    let first = cpu(|| drop(lanes.derive(four)));
    let (mut alone, mut together) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        alone += cpu(|| {
            drop(
                four.iter()
                    .map(|(params, password)| params.derive(password).unwrap())
                    .collect::<Vec<_>>(),
            )
        });
        together += cpu(|| drop(lanes.derive(four)));
    }
    let (alone, together) = (alone / (ROUNDS * LANES) as f64, together / (ROUNDS * LANES) as f64);
    row("scrypt crate, one at a time, CPU s a key", alone, "0.65-0.72");
    row(
        "lanes, first four (memory is new), CPU s a key",
        first / LANES as f64,
        "0.19 + 0.15",
    );
    row("lanes, 1 thread, CPU s a key", together, "0.184-0.196");
    row("  of the scrypt crate's (at most 0.40)", together / alone, "0.28");
    for count in 1..LANES {
        let rest = cpu(|| drop(lanes.derive(&jobs[..count]))) / count as f64;
        row(&format!("lanes, 1 thread, a rest of {count}, CPU s a key"), rest, "");
    }
    row("peak resident MiB, 1 thread", resident(), "1028");
    row("wiping and giving back 1 GiB, CPU s", cpu(|| drop(lanes)), "");
    let mut stretchers = [Stretcher::new(GIB), Stretcher::new(GIB)];
    let mut on_both = || {
        std::thread::scope(|scope| {
            for (stretcher, jobs) in stretchers.iter_mut().zip(jobs.chunks(LANES)) {
                scope.spawn(|| drop(stretcher.derive(jobs)));
            }
        });
    };
    on_both();
    let both = cpu(|| (0..ROUNDS).for_each(|_| on_both())) / (ROUNDS * jobs.len()) as f64;
    row("lanes, 2 threads, CPU s a key", both, "0.186");
    row("  of the scrypt crate's (at most 0.40)", both / alone, "0.28");
    row("peak resident MiB, 2 threads", resident(), "2052");
}

/// EIP-2333, below a seed.
fn keys() {
    const KEYS: u32 = 2000;
    let seed = Mnemonic::generate(Language::English, &mut UnwrapErr(getrandom::SysRng)).to_seed();
    let spent = cpu(|| {
        let keys = ValidatorKeys::new(&seed);
        (0..KEYS).for_each(|index| drop(std::hint::black_box(keys.key(index))));
    });
    row("EIP-2333 keys a CPU second", f64::from(KEYS) / spent, "2900-3600");
}

/// Opening a directory whose keystores share a password and its derivation.
fn opening() {
    const KEYSTORES: u32 = 1000;
    let mut rng = UnwrapErr(getrandom::SysRng);
    let password = SecretString::from("password");
    let params = KdfParams::scrypt(&mut rng);
    let derived = params.derive(&password).unwrap();
    let keys = ValidatorKeys::new(&Mnemonic::generate(Language::English, &mut rng).to_seed());
    let written: Vec<_> = (0..KEYSTORES)
        .map(|index| {
            Keystore::encrypt_with(&derived, &keys.key(index), &ValidatorKeys::path(index), &mut rng).to_json()
        })
        .collect();
    let open = || {
        for text in &written {
            let keystore = Keystore::parse(text.as_bytes()).unwrap();
            let key = keystore.decrypt_with(&derived).unwrap();
            assert_eq!(Some(key.public_key().to_bytes()), keystore.public_key());
        }
    };
    let each = cpu(open) / f64::from(KEYSTORES);
    row(
        "opening with a shared derived key, CPU ms a keystore",
        each * 1e3,
        "0.11-0.14 (public key)",
    );
}

fn parameters(count: usize) -> Vec<KdfParams> {
    let mut rng = UnwrapErr(getrandom::SysRng);
    (0..count).map(|_| KdfParams::scrypt(&mut rng)).collect()
}

fn row(what: &str, figure: f64, floor: &str) {
    println!("{what:<58} {figure:>10.3} {floor:>22}");
}

/// The CPU seconds, of user and system in all threads, that something takes.
fn cpu(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = now();
    work();
    now() - before
}

/// The peak resident memory of this process, where the system tells.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
