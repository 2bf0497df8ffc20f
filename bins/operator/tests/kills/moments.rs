//! SIGKILL at any moment of a registration.

use crate::ground::{Ground, count, moment};

#[tokio::test]
async fn killed_at_any_moment_and_started_again_it_registers_each_validator_once() {
    let kills = count(3, 500);
    // Not every kill finds a validator registered: there are as many keys as could be needed.
    let mut ground = Ground::ready(kills as usize + 2).await;
    let span = ground.span().await;
    for number in 1..=kills {
        ground.pay_when_done().await;
        let running = ground.setup.person.start(&[]).unwrap();
        tokio::time::sleep(moment(number, span)).await;
        ground.kill(running).await;
        ground.audit(&format!("kill {number}")).await;
    }
    ground.go_on("after the last kill").await;
    ground.end("killed at any moment").await;
}
