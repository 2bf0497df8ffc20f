//! A second operator on the same directory.

use crate::{
    ground::{Ground, count},
    setup::{PATIENCE, STOP},
};

#[tokio::test]
async fn a_second_operator_is_refused_at_once_and_welcome_right_after_the_first_was_killed() {
    let mut ground = Ground::ready(2).await;
    let mut first = ground.setup.person.start(&[]).unwrap();
    first.says("operator started", PATIENCE).await.unwrap();
    for _ in 0..count(2, 100) {
        let mut second = ground.setup.person.start(&[]).unwrap();
        let status = second.ends(STOP).await.unwrap();
        assert_eq!(status.code(), Some(6), "{}", second.log());
        ground.kill(first).await;
        first = ground.setup.person.start(&[]).unwrap();
        first.says("keystores found", STOP).await.unwrap();
    }
    ground.pay().await;
    ground.setup.registered(1, &first).await;
    ground.stop(&mut first).await;
    ground.end("a second operator").await;
}
