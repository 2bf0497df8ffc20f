//! SIGKILL between the journal entry of a harvest and its send, and right after the send: one harvest, one transaction.

use crate::{
    ground::{Ground, count},
    setup::PATIENCE,
    traced::Traced,
};

#[tokio::test]
async fn killed_at_a_harvest_it_sends_one_transaction_for_each_vote() {
    let mut ground = Ground::ready(1).await;
    let variable = ("HARVEST_VAULT".to_owned(), "true".to_owned());
    ground.setup.person.environment.push(variable);
    ground.pay().await;
    ground.go_on("before").await;
    let journal = ground.setup.person.vault_dir().join("transactions.journal");
    let flushed = format!("-P {} -e trace=fdatasync", journal.display());
    let sockets = "-e trace=sendto,writev,sendmsg,write -s 400";
    let sent = |calls: &[String]| calls.iter().any(|call| call.contains("eth_sendRawTransaction"));
    let calls = "sendto,writev,sendmsg,write";
    let mut votes = 0;
    for _ in 0..count(1, 5) {
        for moment in ["recorded", "sent"] {
            votes += 1;
            ground
                .setup
                .devnet
                .reward(ground.setup.vault, 1_000_000_000, 0)
                .await
                .unwrap();
            let traced = match moment {
                "recorded" => {
                    // Shorter than a kill waits: strace may hold on to a dead process for as long.
                    let held = format!("{flushed} -e inject=fdatasync:delay_exit=3000000");
                    let traced = Traced::start(&ground.setup.person, &held);
                    assert!(
                        traced.makes(|calls| !calls.is_empty()).await,
                        "{}",
                        traced.running.log()
                    );
                    traced
                }
                _ => {
                    let held = format!("{sockets} -e inject={calls}:delay_exit=20000");
                    let traced = Traced::start(&ground.setup.person, &held);
                    assert!(traced.makes(sent).await, "{}", traced.running.log());
                    traced
                }
            };
            ground.kill(traced.running).await;
            ground.audit(&format!("killed when a harvest was {moment}")).await;
            let mut next = ground.setup.person.start(&[]).unwrap();
            harvested(&ground, votes).await;
            next.says("operator started", PATIENCE).await.unwrap();
            ground.setup.blocks(2).await;
            ground.stop(&mut next).await;
            let mined = ground.mined().await;
            assert_eq!(
                mined,
                1 + votes as u64,
                "a registration, and a harvest for each vote:\n{}",
                next.log()
            );
        }
    }
    assert_eq!(
        ground
            .setup
            .devnet
            .chain()
            .harvests(ground.setup.vault)
            .await
            .unwrap()
            .len(),
        votes
    );
    ground.end("killed at a harvest").await;
}

async fn harvested(ground: &Ground, votes: usize) {
    let all = async {
        while ground
            .setup
            .devnet
            .chain()
            .harvests(ground.setup.vault)
            .await
            .unwrap()
            .len()
            < votes
        {
            ground.setup.blocks(1).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
}
