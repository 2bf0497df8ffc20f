//! A provider that gives ten blocks of logs and five answers a second.

use sw_devnet::{DevnetConfig, proxy::Personality};

use crate::setup::{STOP, Setup, small};

#[tokio::test]
async fn a_provider_with_little_to_give_is_enough() {
    let config = DevnetConfig {
        // In a slot of twelve seconds there are sixty answers; a third of that is still more hostile than any network.
        seconds_per_slot: 4,
        signature_validity_period: 600,
        ..small()
    };
    let setup = Setup::ready(config, 1).await;
    let proxy = setup.devnet.proxy();
    setup.devnet.mine(100).await.unwrap();
    proxy.set_personality(Personality {
        log_range: Some(10),
        calls_per_second: Some(5),
    });
    let (before, start) = (proxy.calls(), std::time::Instant::now());
    let mut running = setup.person.start(&[]).unwrap();
    running.says("operator started", crate::setup::PATIENCE).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    setup.registered(1, &running).await;
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
    if crate::full().is_some() {
        let count = proxy.calls().values().sum::<u64>() - before.values().sum::<u64>();
        println!(
            "{count} calls in {:.1} s, of which {} were one too many",
            start.elapsed().as_secs_f64(),
            proxy.too_many()
        );
    }
}
