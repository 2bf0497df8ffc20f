//! Content on disk, which is trusted no more than a gateway.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod gateway;

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use gateway::{DEEP, LIMITS, TestGateway, WIDE, gateways_with, sample, samples};
use sw_ipfs::GatewayOptions;

#[tokio::test]
async fn the_cache_answers_without_a_gateway_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("ipfs");
    let options = GatewayOptions {
        timeout: Duration::from_secs(5),
        cache_dir: Some(cache.clone()),
    };
    for file in samples() {
        let honest = TestGateway::honest(&file).await;
        gateways_with(&[&honest], options.clone())
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap();
        let again = gateways_with(&[], options.clone())
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap();
        assert_eq!(again.as_ref(), file.content, "{}", file.name);
    }
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&cache).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.path()
        );
        files += 1;
    }
    assert_eq!(files, 8, "no temporary file is left");
}

#[tokio::test]
async fn a_changed_or_shortened_cache_file_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = GatewayOptions {
        timeout: Duration::from_secs(5),
        cache_dir: Some(dir.path().to_owned()),
    };
    let file = sample(DEEP);
    let path = dir.path().join(format!("{}.car", file.cid));
    let honest = TestGateway::honest(&file).await;
    gateways_with(&[&honest], options.clone())
        .fetch(&file.cid, LIMITS)
        .await
        .unwrap();
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [
        flipped,
        sound[..sound.len() - 1].to_vec(),
        sound[..700].to_vec(),
        b"".to_vec(),
        b"junk".to_vec(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let before = honest.requests().len();
        let fetched = gateways_with(&[&honest], options.clone())
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap();
        assert_eq!(fetched.as_ref(), file.content);
        assert_eq!(
            (honest.requests().len(), fs::read(&path).unwrap() == sound),
            (before + 1, true)
        );
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = sample(WIDE);
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "not a directory").unwrap();
    let options = GatewayOptions {
        timeout: Duration::from_secs(5),
        cache_dir: Some(in_the_way.join("ipfs")),
    };
    let honest = TestGateway::honest(&file).await;
    assert_eq!(
        gateways_with(&[&honest], options)
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap()
            .as_ref(),
        file.content
    );
}
